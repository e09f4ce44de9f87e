"""``ring3 list``: the guests that run."""

from __future__ import annotations

import json
from typing import Any

from hypervisor.cli.arguments import Parser
from hypervisor.control.client import everyone
from hypervisor.memory_map import describe

_HEADINGS = ("NAME", "STATE", "PID", "UPTIME", "MEMORY", "KERNEL")


def main(arguments: list[str]) -> int:
    """List your running guests, one a line."""
    parser = Parser(prog="ring3 list", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args(arguments)
    guests = everyone()
    if options.json:
        for guest in guests:
            print(json.dumps(guest))
        return 0
    rows = [_HEADINGS, *(_row(guest) for guest in guests)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows if guests else ():
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(guest: dict[str, Any]) -> tuple[str, ...]:
    pid, uptime, memory = guest.get("pid"), guest.get("uptime"), guest.get("memory")
    return (guest["name"], guest["state"], str(pid or ""), "" if uptime is None else duration(uptime),
            describe(memory) if memory else "", guest.get("kernel", ""))  # fmt: skip


def duration(seconds: float) -> str:
    """A time for people: 12.3 s, 4:05, 2:00:00."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
