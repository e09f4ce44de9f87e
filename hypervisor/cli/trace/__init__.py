"""``ring3 trace``: record what a guest asks for, and look at it.

``show``    list, summary, diff: what a file holds
``callers`` who asks for what, as a tree
``picture`` a page, and the timeline on the terminal
``export``  for other tools, and SQL
``live``    start, stop, dump, top: a guest that runs
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hypervisor.cli.arguments import Parser
from hypervisor.cli.trace import callers, export, live, picture, show


def main(arguments: list[str]) -> int:
    """Do what `arguments` say; the exit status of `record` is the guest's."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _parser() -> Parser:
    parser = Parser(prog="ring3 trace", description="Record what a guest asks of its hypervisor, and look at it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for module in (live, show, callers, picture, export):
        module.add_commands(commands)
    return parser
