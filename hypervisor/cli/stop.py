"""``ring3 stop``: end a running guest."""

from __future__ import annotations

from hypervisor.cli.arguments import Parser
from hypervisor.control.client import stop


def main(arguments: list[str]) -> int:
    """End a running guest as if its machine were switched off, and wait until it has ended."""
    parser = Parser(prog="ring3 stop", description=main.__doc__)
    parser.add_argument("name", metavar="NAME", help="the guest ('ring3 list' lists them)")
    stop(parser.parse_args(arguments).name)
    return 0
