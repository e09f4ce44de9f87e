"""Names for addresses, from a kernel's ELF symbol table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

_WRITE, _ALLOC, _EXECUTABLE = 1, 2, 4  # section flags SHF_*


class Symbols:
    """Symbols of code; empty for a stripped or foreign file.

    Code that still runs where it was loaded, before paging, is found too: an address without a symbol of
    its own is looked up where the segment that was loaded there is linked.
    """

    def __init__(self, path: Path, distance: int = 0) -> None:
        """Read the file's symbols; `distance`: how far above the addresses in the file it was loaded."""
        self._distance = distance
        found: dict[int, tuple[bool, str, int]] = {}
        self._loaded: list[tuple[int, int, int]] = []  # physical start, bytes, distance to the linked address
        try:
            with path.open("rb") as file:
                elf = ELFFile(file)
                code = {number for number, part in enumerate(elf.iter_sections()) if _may_hold_code(part["sh_flags"])}
                self._loaded = [
                    (part["p_paddr"], part["p_memsz"], part["p_vaddr"] - part["p_paddr"])
                    for part in elf.iter_segments("PT_LOAD")
                ]
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
        address -= self._distance
        found = self._linked(address)
        for start, size, distance in self._loaded:
            if found is None and start <= address < start + size:
                found = self._linked(address + distance)
        return found

    def linked(self, address: int) -> int:
        """The address that the file has for `address`: another one for code that runs where it was loaded."""
        address -= self._distance
        if self._linked(address) is None:
            for start, size, distance in self._loaded:
                if start <= address < start + size and self._linked(address + distance) is not None:
                    return address + distance
        return address

    def loaded_at(self, address: int) -> int | None:
        """The physical address at which the file's linked `address` was loaded; None where the file has nothing."""
        for start, size, distance in self._loaded:
            if start <= address - distance < start + size:
                return address - distance + self._distance
        return None

    def ranges(self, fits: Callable[[str], bool]) -> list[tuple[int, int]]:
        """First and last addresses of the symbols whose names fit, rising; also where they lie before paging."""
        found = []
        for at, start in enumerate(self._addresses):
            _, name, size = self._found[start]
            if fits(name):
                first, last = start + self._distance, start + self._distance + (size or self._gap(at)) - 1
                found.append((first, last))
                found += [(first - distance, last - distance) for loaded, length, distance in self._loaded
                          if distance and loaded <= start - distance < loaded + length]
        return sorted(found)

    def describe_return(self, address: int) -> str:
        """As `describe`, for a return address: named for its call, which may be the last of a function."""
        found = self.lookup(address - 1)
        return f"{found[0]}+{found[1] + 1:#x}" if found else self.describe(address)

    def _linked(self, address: int) -> tuple[str, int] | None:
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


def _may_hold_code(flags: int) -> bool:
    """Executable sections, and read-only ones: start-up code is often in a section without the flag."""
    return bool(flags & _EXECUTABLE) or flags & (_ALLOC | _WRITE) == _ALLOC


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
