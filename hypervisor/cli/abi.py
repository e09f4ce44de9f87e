"""``ring3 abi``: the reference page of the contract."""

from __future__ import annotations

from hypercalls.reference import markdown
from hypervisor.cli.arguments import Parser


def main(arguments: list[str]) -> int:
    """Print every hypercall, shared page and record as Markdown."""
    Parser(prog="ring3 abi", description=main.__doc__).parse_args(arguments)
    print(markdown())
    return 0
