"""``ring3 info``: what is known of a running guest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypervisor.cli.arguments import Parser
from hypervisor.cli.list import duration
from hypervisor.control.client import ask
from hypervisor.memory_map import describe
from hypervisor.report import PCI, counter_lines, pci_place


def main(arguments: list[str]) -> int:
    """Show a running guest: state, memory, counters, devices, and what it probed and did not find."""
    parser = Parser(prog="ring3 info", description=main.__doc__)
    parser.add_argument("name", metavar="NAME", help="the guest ('ring3 list' lists them)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    found = ask(options.name, "info")
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for line in _lines(found):
        print(line)
    return 0


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"guest       {found['name']}: {found['state']}, for {duration(found['uptime'])}"
    yield f"kernel      {found['kernel']} {found['append']}".rstrip()
    yield f"memory      {describe(found['memory'])}, {found['resident'] >> 10:,} KiB of it in use"
    yield f"processes   {found['pid']} (ring3), {', '.join(map(str, found['processes']))} (guest)"
    for disk in found["disks"]:
        yield f"disk        {disk}"
    yield f"screen      {found['screen']}"
    yield from counter_lines(found["counters"])
    yield "devices:"
    for device in found["devices"]:
        where = [*(_range("port", *ports) for ports in device["ports"]),
                 *(_range("memory", *area) for area in device["memory"])]  # fmt: skip
        yield f"  {device['name']:<18} {', '.join(where)}".rstrip()
    if found["absent"]:
        yield "probed, absent:"
    for entry in found["absent"]:
        counts = ", ".join(_count(entry[f"{what}s"], what) for what in ("read", "write") if entry[f"{what}s"])
        place = pci_place(entry["address"]) if entry["kind"] == PCI else f"{entry['address']:#x}"
        yield f"  {entry['kind']} {place:<12} {counts}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def _range(kind: str, first: int, last: int) -> str:
    return f"{kind} {first:#x}" if first == last else f"{kind} {first:#x}-{last:#x}"
