"""Which functions were inlined at an address (DWARF 5, 3.3.8), so that a backtrace can name them as debuggers do."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.ranges import RangeEntry

from debuginfo.damage import DAMAGE
from debuginfo.lines import file_names
from debuginfo.units import Units

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


@dataclass(frozen=True)
class _Function:
    """A function that code was made of: what `_scopes` needs to read what was inlined into it."""

    first: int
    last: int
    die: DIE
    base: int
    files: dict[int, str]


class Inlines:
    """Look-up of `address -> inlined functions`. A unit is read when somebody asks about an address in it, and what was
    inlined into a function when somebody asks about that."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._functions: dict[int, _Functions] = {}  # by offset of the unit
        self._read: dict[int, list[Inlined]] = {}  # by offset of the function's DIE

    def find(self, address: int) -> list[Inlined]:
        """Those that hold `address`, the innermost first."""
        found = {one for unit in chain(self._units.at(address), self._units.unlisted)
                 for function in self._of(unit).at(address)
                 for one in self._inlined(function) if one.first <= address < one.last}  # fmt: skip
        return sorted(found, key=lambda one: -one.depth)

    def _of(self, unit: CompileUnit) -> _Functions:
        known = self._functions.get(unit.cu_offset)
        if known is None:
            try:
                assert self._units.dwarf is not None
                known = _Functions(sorted(_functions(self._units.dwarf, unit), key=lambda one: one.first))
            except DAMAGE:
                known = _Functions([])
            self._functions[unit.cu_offset] = known
        return known

    def _inlined(self, function: _Function) -> list[Inlined]:
        known = self._read.get(function.die.offset)
        if known is None:
            try:
                known = list(_scopes(function, function.die, 0))
            except DAMAGE:
                known = []
            self._read[function.die.offset] = known
        return known


class _Functions:
    """The functions of a unit, by rising `first`."""

    def __init__(self, functions: list[_Function]) -> None:
        self._functions = functions
        self._firsts = [one.first for one in functions]
        self._longest = max((one.last - one.first for one in functions), default=0)

    def at(self, address: int) -> Iterator[_Function]:
        """Those that hold `address`."""
        low = bisect.bisect_left(self._firsts, address - self._longest)
        high = bisect.bisect_right(self._firsts, address)
        return (function for function in self._functions[low:high] if address < function.last)


def _functions(dwarf: DWARFInfo, unit: CompileUnit) -> Iterator[_Function]:
    top = unit.get_top_DIE()
    base = _value(top, "DW_AT_low_pc") or 0
    program = dwarf.line_program_for_CU(unit)
    files = file_names(program) if program else {}
    for child in top.iter_children():
        if child.tag == "DW_TAG_subprogram":
            for first, last in _ranges(child, base):
                yield _Function(first, last, child, base, files)


def _scopes(function: _Function, die: DIE, depth: int) -> Iterator[Inlined]:
    for child in die.iter_children():
        if child.tag not in _SCOPES:
            continue
        inner = depth + (child.tag == "DW_TAG_inlined_subroutine")
        if inner > depth:
            name, line = _name(child), _value(child, "DW_AT_call_line") or 0
            file = function.files.get(_value(child, "DW_AT_call_file") or 0, "") if line else ""
            for first, last in _ranges(child, function.base):
                yield Inlined(first, last, name, file, line, inner)
        yield from _scopes(function, child, inner)


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


def _ranges(die: DIE, base: int) -> list[tuple[int, int]]:
    low, high = _value(die, "DW_AT_low_pc"), die.attributes.get("DW_AT_high_pc")
    if low is not None and high is not None:
        # An offset, unless its form is an address (DWARF 4 on).
        last = int(high.value) + (0 if high.form == "DW_FORM_addr" else low)
        return [(low, last)]
    listed = _value(die, "DW_AT_ranges")
    lists = die.dwarfinfo.range_lists()
    if listed is None or lists is None or not isinstance(die.cu, CompileUnit):
        return []
    entries = lists.get_range_list_at_offset(listed, cu=die.cu)
    found = []
    for entry in entries:
        if isinstance(entry, RangeEntry):
            origin = 0 if entry.is_absolute else base
            found.append((entry.begin_offset + origin, entry.end_offset + origin))
        else:
            base = entry.base_address
    return found
