"""Source file and line of an address, from DWARF line programs (versions 2 to 5)."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import chain

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.lineprogram import LineProgram

from debuginfo.damage import DAMAGE
from debuginfo.units import Units


@dataclass(frozen=True, order=True)
class _Row:
    address: int
    end: bool  # first address behind a sequence
    file: str
    line: int


class Lines:
    """Look-up of `address -> "file:line"`. Only the units that are asked about are read."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._rows: dict[int, list[_Row]] = {}

    def find(self, address: int) -> tuple[str, int] | None:
        """File (as the compiler was given it) and line; None where the debug information says nothing."""
        try:
            return self._find(address)
        except DAMAGE:  # only costs the line numbers
            return None

    def _find(self, address: int) -> tuple[str, int] | None:
        for unit in chain(self._units.at(address), self._units.unlisted):
            rows = self._unit_rows(unit)
            index = bisect.bisect_right(rows, address, key=lambda row: row.address) - 1
            if index >= 0 and not rows[index].end:
                return rows[index].file, rows[index].line
        return None

    def _unit_rows(self, unit: CompileUnit) -> list[_Row]:
        if unit.cu_offset not in self._rows:
            assert self._units.dwarf is not None
            program = self._units.dwarf.line_program_for_CU(unit)
            self._rows[unit.cu_offset] = _rows(program) if program else []
        return self._rows[unit.cu_offset]


def _rows(program: LineProgram) -> list[_Row]:
    names = file_names(program)
    out = []
    for entry in program.get_entries():
        state = entry.state
        if state is not None:
            out.append(_Row(state.address, state.end_sequence, names.get(state.file, "?"), state.line))
    # Where one sequence ends and the next begins at the same address, the beginning counts: it sorts last.
    out.sort(key=lambda row: (row.address, not row.end))
    return out


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def file_names(program: LineProgram) -> dict[int, str]:
    """The files of a unit by the numbers that its line program and its DIEs have for them (DWARF 5, 6.2.4)."""
    header = program.header
    directories = [_text(name) for name in header["include_directory"]]
    names = []
    for entry in header["file_entry"]:
        name, index = _text(entry["name"]), entry["dir_index"]
        # Directory 0 is the compilation directory; before version 5 it is not in the table.
        index = index if header["version"] >= 5 else index - 1
        inside = index > 0 or (index == 0 and header["version"] < 5)
        if inside and index < len(directories) and not name.startswith("/"):
            name = f"{directories[index]}/{name}"
        names.append(name)
    return dict(enumerate(names, 0 if header["version"] >= 5 else 1))
