"""A linked or relocatable i386 ELF file as code discovery needs it.

Everything has one address. In a linked file it is the link address. A relocatable file (``.o``) has none
yet, so its sections are laid out one behind the other from `RELOCATABLE_BASE`, symbols and relocations
with them, in a copy in memory; `Image.where` turns such an address back into section and offset.
"""

from __future__ import annotations

import bisect
import io
import struct
from collections.abc import Container
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from numpy.typing import NDArray

from debuginfo.damage import DAMAGE
from porter.errors import PortError

RELOCATABLE_BASE = 0x1000_0000

# ELF constants (System V ABI, i386 supplement)
_ELFCLASS32, _ELFDATA2LSB, _EM_386 = 1, 1, 3
_ET_REL, _ET_EXEC, _ET_DYN = 1, 2, 3
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_SHN_UNDEF, _SHN_LORESERVE = 0, 0xFF00
_HEADER_SIZE, _SECTION_HEADER_SIZE, _PROGRAM_HEADER_SIZE, _SYMBOL_SIZE = 52, 40, 32, 16
_LTO_SECTION = ".gnu.lto_"
_MACHINES = {2: "SPARC", 8: "MIPS", 20: "PowerPC", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}

# Relocations that place an address in code or data (i386 supplement, table 4-9), by what is added.
_ABSOLUTE, _RELATIVE = {1}, {2, 4}  # R_386_32; R_386_PC32, R_386_PLT32


class SymbolKind(Enum):
    """What a symbol says about the bytes behind it."""

    FUNCTION = "function"
    LABEL = "label"  # STT_NOTYPE: assembly labels, of code and of data
    OBJECT = "object"


@dataclass(frozen=True, order=True)
class Symbol:
    """`size` in bytes, 0 where the assembly file does not say. `exported`: other files may refer to it."""

    address: int
    size: int
    name: str
    kind: SymbolKind
    exported: bool = False


@dataclass(frozen=True)
class Region:
    """A section (or, without section headers, a segment) with file contents."""

    name: str
    base: int
    data: bytes
    executable: bool
    file_offset: int

    @property
    def end(self) -> int:
        return self.base + len(self.data)

    def words(self, first: int) -> NDArray[np.uint32]:
        """The words of 32 bits from offset `first` on, as many as there are: of a small region, none."""
        data = self.data[first:]
        return np.frombuffer(data[: len(data) // 4 * 4], "<u4")

    @property
    def first_aligned(self) -> int:
        """Offset of the first word that is aligned, as compilers align pointers."""
        return -self.base % 4

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end


@dataclass(frozen=True)
class Segment:
    """A PT_LOAD program header; all in bytes."""

    virtual: int
    physical: int
    offset: int
    file_size: int
    executable: bool


class Image:
    """Regions, symbols and address translations of one file."""

    def __init__(
        self,
        path: Path,
        content: bytes,
        elf: ELFFile,
        regions: list[Region],
        symbols: list[Symbol],
        segments: list[Segment],
        relocatable: bool,
    ) -> None:
        self.path, self.elf, self.relocatable, self.segments = path, elf, relocatable, segments
        self.content = content  # of the file, as it is
        self._all_symbols = symbols
        self.regions = sorted(regions, key=lambda region: region.base)
        self.code = [region for region in self.regions if region.executable]
        self._bases = [region.base for region in self.regions]
        self.symbols = sorted(symbols, key=lambda symbol: symbol.address)
        code_symbols = [symbol for symbol in self.symbols if self.code_at(symbol.address)]
        self.functions = [s for s in code_symbols if s.kind is SymbolKind.FUNCTION]
        self.labels = [s for s in code_symbols if s.kind is SymbolKind.LABEL]
        self.objects = [s for s in code_symbols if s.kind is SymbolKind.OBJECT and s.size]
        self._named = sorted(code_symbols, key=lambda s: (s.address, s.kind is SymbolKind.FUNCTION, s.size))
        self._named_at = [symbol.address for symbol in self._named]

    def with_code(self, bases: Container[int]) -> Image:
        """The same file, with the regions at these addresses executable, whatever their flags say."""
        regions = [replace(r, executable=r.executable or r.base in bases) for r in self.regions]
        return Image(self.path, self.content, self.elf, regions, self._all_symbols, self.segments, self.relocatable)

    @property
    def entry(self) -> int | None:
        """The entry point as a link address; None where the file names none: 0 is one if there is code."""
        address = int(self.elf.header["e_entry"])
        return None if self.relocatable or not (address or self.code_at(0)) else self.resolve(address)

    def region_at(self, address: int) -> Region | None:
        index = bisect.bisect_right(self._bases, address) - 1
        return self.regions[index] if index >= 0 and address in self.regions[index] else None

    def code_at(self, address: int) -> Region | None:
        region = self.region_at(address)
        return region if region and region.executable else None

    def is_linked_below(self, address: int) -> bool:
        """Whether the code at a link address is loaded above it, as what does not run where it is loaded is."""
        return any(0 <= address - segment.virtual < segment.file_size and segment.virtual < segment.physical
                   for segment in self.segments)  # fmt: skip

    def resolve(self, address: int) -> int | None:
        """The link address of what is named by its link address or by its load address: code, if there is any.

        Kernels that link high run their first instructions at the physical address (p_paddr), and so
        name their entry and the targets of their first far jumps.
        """
        names = [address]
        for segment in self.segments:
            offset = address - segment.physical
            if 0 <= offset < segment.file_size:
                names.append(segment.virtual + offset)
        return next(filter(self.code_at, names), next(filter(self.region_at, names), None))

    def physical(self, address: int) -> int | None:
        """Load address by p_paddr; None in a relocatable file."""
        for segment in self.segments:
            if 0 <= address - segment.virtual < segment.file_size:
                return address - segment.virtual + segment.physical
        return None

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at an address; shorter where the region ends."""
        region = self.region_at(address)
        return region.data[address - region.base : address - region.base + size] if region else b""

    def symbol_at(self, address: int) -> tuple[str, int] | None:
        """Name of the nearest symbol at or before a code address, and the offset from it."""
        index = bisect.bisect_right(self._named_at, address) - 1
        if index < 0 or self.code_at(self._named_at[index]) is not self.code_at(address):
            return None
        return self._named[index].name, address - self._named_at[index]

    def where(self, address: int) -> tuple[str, int]:
        """Section name, and the address as the user knows it: an offset in a relocatable file."""
        region = self.region_at(address)
        if region is None:
            return "", address
        return region.name, address - region.base if self.relocatable else address


class NoCode(PortError):
    """An i386 ELF file without code: nothing to check, which is no fault in one of many files."""


def read(path: Path) -> bytes:
    """The content of a file. Raises PortError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise PortError(f"{path}: cannot be read ({error.strerror}); name a linked kernel or object file") from None


def load(path: Path | str, content: bytes | None = None) -> Image:
    """Read an i386 ELF file, or `content` as if it were in one. PortError names what is wrong with any other."""
    path = Path(path)
    data = read(path) if content is None else content
    _check_header(path, data)
    try:
        return _read(path, data)
    except DAMAGE as error:
        detail = str(error) or type(error).__name__
        raise PortError(f"{path}: damaged ELF file ({detail}); link it again") from None


def _check_header(path: Path, data: bytes) -> None:
    def refuse(reason: str) -> PortError:
        return PortError(f"{path}: {reason}")

    if not data.startswith(b"\x7fELF"):
        raise refuse("not an ELF file; name the linked kernel, not a disk image or a raw binary made from it")
    if len(data) < _HEADER_SIZE:
        raise refuse(f"truncated: {len(data)} bytes do not hold an ELF header; build or copy it again")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if data[4] != _ELFCLASS32 or data[5] != _ELFDATA2LSB or machine != _EM_386:
        order = "<" if data[5] == _ELFDATA2LSB else ">"
        machine = struct.unpack_from(f"{order}H", data, 18)[0]
        bits = {1: "32-bit ", 2: "64-bit "}.get(data[4], "")
        name = _MACHINES.get(machine, f"machine {machine}")
        raise refuse(f"{bits}{name} ELF file; only 32-bit i386 code can be checked: build it with -m32")
    if kind not in (_ET_REL, _ET_EXEC, _ET_DYN):
        raise refuse(f"ELF type {kind} is no executable and no object file; name the linked kernel")
    phoff, shoff = struct.unpack_from("<II", data, 28)
    phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", data, 42)
    for what, offset, entry, least, count in (
        ("program", phoff, phentsize, _PROGRAM_HEADER_SIZE, phnum),
        ("section", shoff, shentsize, _SECTION_HEADER_SIZE, shnum),
    ):
        if count and entry < least:
            raise refuse(f"damaged: {what} headers of {entry} bytes; link it again")
        if count and offset + count * entry > len(data):
            raise refuse(
                f"truncated: {what} headers end at {offset + count * entry:#x}, "
                f"the file at {len(data):#x}; build or copy it again"
            )


def _read(path: Path, content: bytes) -> Image:
    data = bytearray(content)
    elf = ELFFile(io.BytesIO(data))
    relocatable = elf["e_type"] == "ET_REL"
    if relocatable:
        _lay_out(elf, data)
        elf = ELFFile(io.BytesIO(data))
        _relocate(elf, data)
        elf = ELFFile(io.BytesIO(data))
    segments = [
        Segment(h["p_vaddr"], h["p_paddr"], h["p_offset"], h["p_filesz"], bool(h["p_flags"] & 1))
        for h in (segment.header for segment in elf.iter_segments())
        if h["p_type"] == "PT_LOAD"
    ]
    regions = []
    for section in elf.iter_sections():
        header = section.header
        if header["sh_flags"] & _SHF_ALLOC and header["sh_type"] != "SHT_NOBITS" and header["sh_size"]:
            regions.append(
                _region(
                    path,
                    data,
                    section.name,
                    header["sh_addr"],
                    header["sh_offset"],
                    header["sh_size"],
                    bool(header["sh_flags"] & _SHF_EXECINSTR),
                )
            )
    if not regions:
        regions = [
            _region(path, data, f"segment {index}", s.virtual, s.offset, s.file_size, s.executable)
            for index, s in enumerate(segments)
            if s.file_size
        ]
    image = Image(path, content, elf, regions, _symbols(elf), segments, relocatable)
    entered = image.region_at(image.entry) if image.entry is not None else None
    if entered:  # whatever its flags say
        image = image.with_code({entered.base})
    if not image.code:
        if any(section.name.startswith(_LTO_SECTION) for section in elf.iter_sections()):
            raise PortError(f"{path}: an object file for link-time optimisation, whose code is yet to be made; "
                            "compile with -fno-lto")
        raise NoCode(f"{path}: has no executable section or segment; name the linked kernel")
    return image


def _region(path: Path, data: bytearray, name: str, base: int, offset: int, size: int, executable: bool) -> Region:
    if offset + size > len(data):
        raise PortError(
            f"{path}: truncated: {name} ends at {offset + size:#x}, the file at {len(data):#x}; build or copy it again"
        )
    if base + size > 1 << 32:
        raise PortError(
            f"{path}: {name} at {base:#x} with {size:#x} bytes leaves the 32-bit address space; "
            "correct the linker script"
        )
    return Region(name, base, bytes(data[offset : offset + size]), executable, offset)


def _symbols(elf: ELFFile) -> list[Symbol]:
    kinds = {
        "STT_FUNC": SymbolKind.FUNCTION,
        "STT_LOOS": SymbolKind.FUNCTION,  # STT_GNU_IFUNC
        "STT_NOTYPE": SymbolKind.LABEL,
        "STT_OBJECT": SymbolKind.OBJECT,
    }
    out = []
    for table in elf.iter_sections():
        if not isinstance(table, SymbolTableSection) or table.header["sh_type"] != "SHT_SYMTAB":
            continue
        for symbol in table.iter_symbols():
            kind = kinds.get(symbol["st_info"]["type"])
            if kind and symbol.name and symbol["st_shndx"] not in ("SHN_UNDEF", "SHN_ABS", "SHN_COMMON"):
                exported = symbol["st_info"]["bind"] != "STB_LOCAL"
                out.append(Symbol(symbol["st_value"], symbol["st_size"], symbol.name, kind, exported))
    return out


def _lay_out(elf: ELFFile, data: bytearray) -> None:
    """Give the sections of a relocatable file addresses, and move its symbols with them."""
    base = RELOCATABLE_BASE
    bases = {}
    for index, section in enumerate(elf.iter_sections()):
        if section["sh_flags"] & _SHF_ALLOC:
            align = max(section["sh_addralign"], 16)
            base = (base + align - 1) // align * align
            bases[index] = base
            struct.pack_into("<I", data, elf["e_shoff"] + index * elf["e_shentsize"] + 12, base)
            base += section["sh_size"]
    for table in elf.iter_sections():
        if table["sh_type"] == "SHT_SYMTAB":
            for offset in range(table["sh_offset"], table["sh_offset"] + table["sh_size"], _SYMBOL_SIZE):
                (value,) = struct.unpack_from("<I", data, offset + 4)
                (shndx,) = struct.unpack_from("<H", data, offset + 14)
                if shndx in bases:
                    struct.pack_into("<I", data, offset + 4, (value + bases[shndx]) & 0xFFFF_FFFF)


def _relocate(elf: ELFFile, data: bytearray) -> None:
    """Apply the relocations of allocated sections. Undefined symbols count as address 0: outside."""
    sections = list(elf.iter_sections())
    for table in sections:
        if table["sh_type"] != "SHT_REL":
            continue
        target, symbols = sections[table["sh_info"]], sections[table["sh_link"]]
        if not target["sh_flags"] & _SHF_ALLOC or target["sh_type"] == "SHT_NOBITS":
            continue
        for entry in range(table["sh_offset"], table["sh_offset"] + table["sh_size"], 8):
            offset, info = struct.unpack_from("<II", data, entry)
            kind, place = info & 0xFF, target["sh_offset"] + offset
            if kind not in _ABSOLUTE | _RELATIVE or offset + 4 > target["sh_size"]:
                continue
            (value,) = struct.unpack_from("<I", data, symbols["sh_offset"] + (info >> 8) * _SYMBOL_SIZE + 4)
            (addend,) = struct.unpack_from("<I", data, place)
            if kind in _RELATIVE:
                value -= target["sh_addr"] + offset
            struct.pack_into("<I", data, place, (value + addend) & 0xFFFF_FFFF)
