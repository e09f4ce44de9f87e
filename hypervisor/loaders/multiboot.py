"""Multiboot 1: the header in the kernel file and the information handed to the kernel.

Source: Multiboot Specification 0.6.96, sections 3.1 (header) and 3.3 (boot information).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from hypervisor.errors import RingError
from hypervisor.loaders.elf import Image, Segment
from hypervisor.memory_map import HIGH, KIB, USABLE, Region

HEADER_MAGIC = 0x1BADB002
BOOT_MAGIC = 0x2BADB002  # EAX at entry
SEARCH = 8192  # the header lies in the first bytes of the file

PAGE_ALIGN, MEMORY_INFO, VIDEO_MODE, ADDRESS_FIELDS = 1, 2, 4, 1 << 16
_KNOWN = PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE
_REQUIRED = 0xFFFF  # bits that a loader must understand or refuse

INFO_MEMORY, INFO_CMDLINE, INFO_MODULES, INFO_MMAP, INFO_LOADER = 1, 1 << 2, 1 << 3, 1 << 6, 1 << 9
_INFO = struct.Struct("<22I")  # up to and with the fields before the VBE table: 88 bytes
_LOADER_NAME = b"ring3\0"


@dataclass(frozen=True)
class Header:
    """The multiboot header; the address fields are zero where the kernel gives none."""

    offset: int
    flags: int
    header_addr: int = 0
    load_addr: int = 0
    load_end_addr: int = 0
    bss_end_addr: int = 0
    entry_addr: int = 0


@dataclass(frozen=True)
class Module:
    """A boot module in memory."""

    start: int
    end: int
    text: str


def find_header(path: Path, data: bytes) -> Header | None:
    """The kernel's multiboot header, or None. Raises RingError where it asks for what nobody knows."""
    for offset in range(0, min(len(data), SEARCH) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<3I", data, offset)
        if magic != HEADER_MAGIC or (magic + flags + checksum) & 0xFFFF_FFFF:
            continue
        unknown = flags & _REQUIRED & ~_KNOWN
        if unknown:
            raise RingError(f"{path} requires unknown multiboot features {unknown:#x}; use flags 0-2 and 16")
        if not flags & ADDRESS_FIELDS:
            return Header(offset, flags)
        if offset + 32 > len(data):
            raise RingError(f"{path} is truncated within its multiboot header; build it again")
        return Header(offset, flags, *struct.unpack_from("<5I", data, offset + 12))
    return None


def image(path: Path, data: bytes, header: Header) -> Image:
    """The image that the header's address fields describe (kernels in another format than ELF).

    Raises RingError where the fields contradict each other or the file.
    """
    skipped = header.header_addr - header.load_addr
    start = header.offset - skipped
    end = start + header.load_end_addr - header.load_addr if header.load_end_addr else len(data)
    filled = end - start
    size = max(header.bss_end_addr - header.load_addr, filled) if header.bss_end_addr else filled
    if skipped < 0 or start < 0 or filled <= 0 or end > len(data):
        raise RingError(f"{path}: the address fields of its multiboot header do not fit the file; link it again")
    if not header.load_addr <= header.entry_addr < header.load_addr + size:
        raise RingError(f"{path} has no entry: {header.entry_addr:#x} lies outside the image; mend the header")
    return Image((Segment(header.load_addr, header.load_addr, data[start:end], size),), header.entry_addr)


def information(
    address: int, regions: tuple[Region, ...], command_line: str, modules: list[Module]
) -> bytes:
    """The boot information for guest-physical `address`: structure, memory map, module list, strings."""
    tail = bytearray()

    def place(data: bytes) -> int:
        """Append `data`, 4-aligned, behind the structure; its guest-physical address."""
        tail.extend(b"\0" * (-len(tail) % 4))
        at = address + _INFO.size + len(tail)
        tail.extend(data)
        return at

    mmap = b"".join(struct.pack("<IQQI", 20, part.base, part.length, part.kind) for part in regions)
    mmap_at = place(mmap)
    texts = [place(module.text.encode() + b"\0") for module in modules]
    entries = [struct.pack("<4I", m.start, m.end, text, 0) for m, text in zip(modules, texts, strict=True)]
    modules_at = place(b"".join(entries))
    command_at, loader_at = place(command_line.encode() + b"\0"), place(_LOADER_NAME)
    lower = next(part.length for part in regions if part.kind == USABLE)
    upper = next(part.length for part in regions if part.base == HIGH)
    fields = [0] * 22
    fields[0] = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER
    fields[1], fields[2] = lower // KIB, upper // KIB
    fields[4] = command_at
    fields[5], fields[6] = len(modules), modules_at
    fields[11], fields[12] = len(mmap), mmap_at
    fields[16] = loader_at
    return _INFO.pack(*fields) + bytes(tail)


def information_size(regions: tuple[Region, ...], command_line: str, modules: list[Module]) -> int:
    """Bytes that `information` will need."""
    return len(information(0, regions, command_line, modules))
