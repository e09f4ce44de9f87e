"""Names for addresses, from a kernel's ELF symbol table."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

_EXECUTABLE = 0x4  # SHF_EXECINSTR


class Symbols:
    """Symbols of code by virtual address; empty for a stripped or foreign file."""

    def __init__(self, path: Path) -> None:
        found: dict[int, tuple[bool, str, int]] = {}
        try:
            with path.open("rb") as file:
                elf = ELFFile(file)
                code = {number for number, part in enumerate(elf.iter_sections()) if part["sh_flags"] & _EXECUTABLE}
                for section in elf.iter_sections():
                    if isinstance(section, SymbolTableSection):
                        _collect(section, code, found)
        except (OSError, ELFError, ConstructError, ValueError):
            found.clear()
        self._addresses = sorted(found)
        self._found = found

    def __len__(self) -> int:
        return len(self._addresses)

    def lookup(self, address: int) -> tuple[str, int] | None:
        """Name of the symbol that holds `address` and the offset into it; None if none does."""
        at = bisect_right(self._addresses, address) - 1
        if at < 0:
            return None
        start = self._addresses[at]
        _, name, size = self._found[start]
        offset = address - start
        limit = size if size else self._gap(at)
        return (name, offset) if offset < limit else None

    def describe(self, address: int) -> str:
        """`name+0x12` for people, or the bare address."""
        found = self.lookup(address)
        if found is None:
            return f"{address:#010x}"
        name, offset = found
        return f"{name}+{offset:#x}" if offset else name

    def _gap(self, at: int) -> int:
        """Bytes up to the next symbol: the extent of an assembly label without a size."""
        if at + 1 < len(self._addresses):
            return self._addresses[at + 1] - self._addresses[at]
        return 4096


def _collect(section: SymbolTableSection, code: set[int], found: dict[int, tuple[bool, str, int]]) -> None:
    """Add the named symbols of the sections `code`; a function's name wins over a label's."""
    for symbol in section.iter_symbols():
        kind, name = symbol["st_info"]["type"], symbol.name
        if kind not in ("STT_FUNC", "STT_NOTYPE") or not name or symbol["st_shndx"] not in code:
            continue
        is_function = kind == "STT_FUNC"
        known = found.get(symbol["st_value"])
        if known is None or (is_function and not known[0]):
            found[symbol["st_value"]] = (is_function, name, symbol["st_size"])
