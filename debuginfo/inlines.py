"""Which functions were inlined at an address (DWARF 5, 3.3.8), so that a backtrace can name them as debuggers do."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.ranges import RangeEntry
from elftools.elf.elffile import ELFFile

from debuginfo.damage import DAMAGE
from debuginfo.lines import file_names

_SCOPES = frozenset({"DW_TAG_subprogram", "DW_TAG_lexical_block", "DW_TAG_inlined_subroutine"})
_MOST_REFERENCES = 8  # from an inlined copy to the declaration that has its name


@dataclass(frozen=True)
class Inlined:
    """A function that was inlined from `first` up to `last`: its name, and the file and line that it was called in."""

    first: int
    last: int
    name: str
    call_file: str
    call_line: int
    depth: int


class Inlines:
    """Look-up of `address -> inlined functions`. All debug information is read when somebody first asks."""

    def __init__(self, elf: ELFFile) -> None:
        self._found: list[Inlined] = []
        self._firsts: list[int] = []
        self._longest = 0
        try:
            if elf.has_dwarf_info(strict=True):
                self._read(elf.get_dwarf_info())
        except DAMAGE:
            self._found = []
        self._found.sort(key=lambda one: (one.first, one.depth))
        self._firsts = [one.first for one in self._found]
        self._longest = max((one.last - one.first for one in self._found), default=0)

    def find(self, address: int) -> list[Inlined]:
        """Those that hold `address`, the innermost first."""
        low = bisect.bisect_left(self._firsts, address - self._longest)
        high = bisect.bisect_right(self._firsts, address)
        return sorted((one for one in self._found[low:high] if address < one.last), key=lambda one: -one.depth)

    def _read(self, dwarf: DWARFInfo) -> None:
        for unit in dwarf.iter_CUs():
            top = unit.get_top_DIE()
            base = _value(top, "DW_AT_low_pc") or 0
            program = dwarf.line_program_for_CU(unit)
            files = file_names(program) if program else {}
            for child in top.iter_children():
                if child.tag == "DW_TAG_subprogram":
                    self._scope(dwarf, unit, child, base, 0, files)

    def _scope(self, dwarf: DWARFInfo, unit: CompileUnit, die: DIE, base: int, depth: int,
               files: dict[int, str]) -> None:  # fmt: skip
        for child in die.iter_children():
            if child.tag not in _SCOPES:
                continue
            inner = depth + (child.tag == "DW_TAG_inlined_subroutine")
            if inner > depth:
                name, line = _name(child), _value(child, "DW_AT_call_line") or 0
                file = files.get(_value(child, "DW_AT_call_file") or 0, "") if line else ""
                self._found += [
                    Inlined(first, last, name, file, line, inner) for first, last in _ranges(dwarf, unit, child, base)
                ]
            self._scope(dwarf, unit, child, base, inner, files)


def _value(die: DIE, attribute: str) -> int | None:
    found = die.attributes.get(attribute)
    return int(found.value) if found is not None and isinstance(found.value, int) else None


def _name(die: DIE) -> str:
    for _ in range(_MOST_REFERENCES):
        found = die.attributes.get("DW_AT_name")
        if found is not None:
            return str(found.value.decode("utf-8", "replace"))
        reference = next((key for key in ("DW_AT_abstract_origin", "DW_AT_specification") if key in die.attributes), "")
        if not reference:
            break
        die = die.get_DIE_from_attribute(reference)
    return "?"


def _ranges(dwarf: DWARFInfo, unit: CompileUnit, die: DIE, base: int) -> list[tuple[int, int]]:
    low, high = _value(die, "DW_AT_low_pc"), die.attributes.get("DW_AT_high_pc")
    if low is not None and high is not None:
        # An offset, unless its form is an address (DWARF 4 on).
        last = int(high.value) + (0 if high.form == "DW_FORM_addr" else low)
        return [(low, last)]
    listed = _value(die, "DW_AT_ranges")
    lists = dwarf.range_lists()
    if listed is None or lists is None:
        return []
    entries = lists.get_range_list_at_offset(listed, cu=unit)
    found = []
    for entry in entries:
        if isinstance(entry, RangeEntry):
            origin = 0 if entry.is_absolute else base
            found.append((entry.begin_offset + origin, entry.end_offset + origin))
        else:
            base = entry.base_address
    return found
