"""The units of a file's DWARF, and which of them an address belongs to: a unit is read when somebody asks about it."""

from __future__ import annotations

from collections.abc import Iterator

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.elf.elffile import ELFFile

from debuginfo.damage import DAMAGE


class Units:
    """Compilation units by address, as .debug_aranges has them (DWARF 5, 6.1.2). Damage only costs what it hits."""

    def __init__(self, elf: ELFFile) -> None:
        self.dwarf: DWARFInfo | None = None
        self._listed: list[tuple[int, int, CompileUnit]] = []
        self.unlisted: list[CompileUnit] = []
        """Units that .debug_aranges does not have, as some compilers leave it out."""
        try:
            if elf.has_dwarf_info(strict=True):
                self.dwarf = elf.get_dwarf_info()
                self._sort(self.dwarf)
        except DAMAGE:
            pass

    def _sort(self, dwarf: DWARFInfo) -> None:
        listed = set()
        ranges = dwarf.get_aranges()
        for entry in ranges.entries if ranges else ():
            listed.add(entry.info_offset)
            self._listed.append((entry.begin_addr, entry.begin_addr + entry.length, dwarf.get_CU_at(entry.info_offset)))
        self.unlisted = [unit for unit in dwarf.iter_CUs() if unit.cu_offset not in listed]

    def at(self, address: int) -> Iterator[CompileUnit]:
        """Those that .debug_aranges says hold `address`."""
        return (unit for low, high, unit in self._listed if low <= address < high)
