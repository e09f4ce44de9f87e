"""Where a function keeps what it returns to, by the call-frame information that compilers leave (DWARF 5, 6.4).

From .debug_frame and .eh_frame, a function at a time, when somebody asks.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from debuginfo.damage import DAMAGE

ESP, EBP, RETURN = 4, 5, 8
"""DWARF's numbers of registers (System V ABI, i386 supplement, table 2.14); RETURN is the return address."""


@dataclass(frozen=True)
class Row:
    """What holds from `address` on: the frame's base is register `register` plus `offset`; `saved`: how far from that
    base each register lies that was saved, by number. Registers without an entry keep their values."""

    address: int
    register: int
    offset: int
    saved: dict[int, int]


class CallFrames:
    """Look-up of `address -> Row`. A file without call-frame information has none for any address."""

    def __init__(self, elf: ELFFile) -> None:
        self._functions: list[tuple[int, int, FDE]] = []
        self._rows: dict[int, list[Row]] = {}
        try:
            dwarf = elf.get_dwarf_info(follow_links=False)
            # .debug_frame comes last: where both tell of a function it is the one that counts.
            entries = (dwarf.EH_CFI_entries() if dwarf.has_EH_CFI() else []) + (
                dwarf.CFI_entries() if dwarf.has_CFI() else []
            )
            found = {}
            for entry in entries:
                if isinstance(entry, FDE) and entry["address_range"]:
                    start = entry["initial_location"]
                    found[start] = (start, start + entry["address_range"], entry)
            self._functions = sorted(found.values(), key=lambda function: function[0])
        except DAMAGE:
            self._functions = []

    def find(self, address: int) -> Row | None:
        """What holds at `address`; None where nothing is said, or more than this understands."""
        index = bisect.bisect_right(self._functions, address, key=lambda function: function[0]) - 1
        if index < 0 or address >= self._functions[index][1]:
            return None
        rows = self._rows.get(index)
        if rows is None:
            try:
                rows = _rows(self._functions[index][2])
            except DAMAGE:
                rows = []
            self._rows[index] = rows
        at = bisect.bisect_right(rows, address, key=lambda row: row.address) - 1
        return rows[at] if at >= 0 and rows[at].register >= 0 else None


def _rows(function: FDE) -> list[Row]:
    """The rows of a function; one with register -1 where expressions stand for what this understands."""
    rows = []
    for line in function.get_decoded().table:
        base = line["cfa"]
        saved: dict[int, int] = {}
        odd = base.reg is None
        for number, rule in line.items():
            if not isinstance(number, int):
                continue
            if rule.type == "OFFSET":
                saved[number] = rule.arg
            elif rule.type not in ("SAME_VALUE", "UNDEFINED"):
                odd = True
        rows.append(Row(line["pc"], -1 if odd else base.reg, 0 if odd else base.offset, saved))
    return rows


