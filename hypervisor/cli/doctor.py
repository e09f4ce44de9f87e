"""``ring3 doctor``: tell whether this host can run guests, how fast, and what to change."""

from __future__ import annotations

from hypervisor.cli.arguments import Parser
from hypervisor.hostcheck import FAIL, OK, findings


def main(arguments: list[str]) -> int:
    """Check the host: a line per question. Exit status 0 if guests can run, else 1."""
    Parser(prog="ring3 doctor", description=main.__doc__).parse_args(arguments)
    failed = False
    for finding in findings():
        print(f"{finding.verdict:<6} {finding.question:<18} {finding.found}", flush=True)
        if finding.verdict != OK:
            print(f"{'':<6} {'':<18} -> {finding.remedy}", flush=True)
        failed = failed or finding.verdict == FAIL
    print("this host cannot run guests" if failed else "this host can run guests")
    return int(failed)
