"""Multiboot 1: the header in the kernel file and the information handed to the kernel.

Source: Multiboot Specification 0.6.96, sections 3.1 (header) and 3.3 (boot information).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypervisor.devices.framebuffer import TEXT, Framebuffer, linear_framebuffer
from hypervisor.errors import RingError
from hypervisor.loaders import address_fields, elf, vbe
from hypervisor.loaders.address_fields import AddressFields
from hypervisor.loaders.handover import (
    BOOT_DISK,
    LOADER_NAME,
    BootMachine,
    BootRequest,
    BootSegments,
    Module,
    Plan,
    place_modules,
)
from hypervisor.loaders.placement import Placement
from hypervisor.loaders.sections import HEADER_SIZE, Sections, place_sections
from hypervisor.memory_map import HIGH, KIB, USABLE, Region

HEADER_MAGIC = 0x1BADB002
BOOT_MAGIC = 0x2BADB002  # EAX at entry
SEARCH = 8192  # the header lies in the first bytes of the file

PAGE_ALIGN, MEMORY_INFO, VIDEO_MODE, ADDRESS_FIELDS = 1, 2, 4, 1 << 16
_KNOWN = PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE
_REQUIRED = 0xFFFF  # bits that a loader must understand or refuse
_ADDRESSES_AT, _VIDEO_AT = 12, 32  # in the header
_LINEAR = 0  # mode_type

INFO_MEMORY, INFO_BOOT_DEVICE, INFO_CMDLINE, INFO_MODULES, INFO_SECTIONS = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 5
INFO_MMAP, INFO_LOADER, INFO_VBE, INFO_FRAMEBUFFER = 1 << 6, 1 << 9, 1 << 11, 1 << 12
_WORDS, _VBE = struct.Struct("<20I"), struct.Struct("<4H")
_FRAMEBUFFER = struct.Struct("<Q3IBB6s")
INFO_SIZE = _WORDS.size + _VBE.size + _FRAMEBUFFER.size
_NO_PARTITIONS = 0xFF_FFFF
_RGB, _EGA_TEXT = 1, 2


@dataclass(frozen=True)
class Header:
    """The multiboot header, found at `offset`; what the kernel does not give is None."""

    offset: int
    addresses: AddressFields | None = None
    entry: int = 0
    video: tuple[int, int, int] | None = None  # width, height, depth of a graphics mode


def find_header(path: Path, data: bytes) -> Header | None:
    """The kernel's multiboot header, or None. Raises RingError where it asks for what nobody knows."""
    for offset in range(0, min(len(data), SEARCH) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<3I", data, offset)
        if magic != HEADER_MAGIC or (magic + flags + checksum) & 0xFFFF_FFFF:
            continue
        unknown = flags & _REQUIRED & ~_KNOWN
        if unknown:
            raise RingError(f"{path} requires unknown multiboot features {unknown:#x}; use flags 0-2 and 16")
        end = 48 if flags & VIDEO_MODE else 32 if flags & ADDRESS_FIELDS else 12
        if offset + end > len(data):
            raise RingError(f"{path} is truncated within its multiboot header; build it again")
        addresses, entry, video = None, 0, None
        if flags & ADDRESS_FIELDS:
            *fields, entry = struct.unpack_from("<5I", data, offset + _ADDRESSES_AT)
            addresses = AddressFields(*fields)
        if flags & VIDEO_MODE:
            kind, *mode = struct.unpack_from("<4I", data, offset + _VIDEO_AT)
            video = (mode[0], mode[1], mode[2]) if kind == _LINEAR else None
        return Header(offset, addresses, entry, video)
    return None


def plan(
    request: BootRequest, data: bytes, header: Header, machine: BootMachine, placement: Placement,
    segments: BootSegments,
) -> Plan:  # fmt: skip
    """Where the kernel, its modules and the information go. Raises RingError for what cannot be booted."""
    sections = None
    if header.addresses:
        image = address_fields.image(request.kernel, data, header.offset, header.addresses, header.entry)
    else:
        image = elf.parse(request.kernel, data)
    placement.claim_image(request.kernel, image)
    modules, parts = place_modules(placement, request.modules)
    if not header.addresses:
        sections = place_sections(data, placement)
    framebuffer = linear_framebuffer(machine.memory, *header.video) if header.video else None
    told = Told(
        machine.regions(framebuffer), f"{request.kernel.name} {request.append}".strip(), modules, sections,
        framebuffer or TEXT,
    )  # fmt: skip
    at = placement.find("boot information", len(information(0, told)), low=True)
    parts += [*(sections.parts if sections else ()), (at, information(at, told))]
    return Plan(image, segments, parts, eax=BOOT_MAGIC, ebx=at, framebuffer=framebuffer)


@dataclass(frozen=True)
class Told:
    """What the boot information says."""

    regions: tuple[Region, ...]
    command_line: str
    modules: Sequence[Module]
    sections: Sections | None
    framebuffer: Framebuffer


def information(address: int, told: Told) -> bytes:
    """The boot information for guest-physical `address`: structure, then all that it points to."""
    tail = bytearray()

    def place(data: bytes) -> int:
        """Append `data`, 4-aligned, behind the structure; its guest-physical address."""
        tail.extend(b"\0" * (-len(tail) % 4))
        at = address + INFO_SIZE + len(tail)
        tail.extend(data)
        return at

    mmap = b"".join(struct.pack("<IQQI", 20, part.base, part.length, part.kind) for part in told.regions)
    texts = [place(module.text.encode() + b"\0") for module in told.modules]
    entries = [struct.pack("<4I", m.start, m.end, text, 0) for m, text in zip(told.modules, texts, strict=True)]
    lower = next(part.length for part in told.regions if part.kind == USABLE)
    upper = next(part.length for part in told.regions if part.base == HIGH)
    words, vbe_fields = [0] * 20, (0, 0, 0, 0)
    words[0] = INFO_MEMORY | INFO_BOOT_DEVICE | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER | INFO_FRAMEBUFFER
    words[1], words[2] = lower // KIB, upper // KIB
    words[3] = BOOT_DISK << 24 | _NO_PARTITIONS
    words[4] = place(told.command_line.encode() + b"\0")
    words[5], words[6] = len(told.modules), place(b"".join(entries))
    if told.sections:
        words[0] |= INFO_SECTIONS
        words[7:11] = told.sections.count, HEADER_SIZE, place(told.sections.table), told.sections.names
    words[11], words[12] = len(mmap), place(mmap)
    words[16] = place(LOADER_NAME.encode() + b"\0")
    if told.framebuffer.linear:
        words[0] |= INFO_VBE
        words[18] = place(vbe.control_block(told.framebuffer, place(b"")))
        words[19] = place(vbe.mode_block(told.framebuffer))
        vbe_fields = (vbe.MODE, 0, 0, 0)
    return _WORDS.pack(*words) + _VBE.pack(*vbe_fields) + _framebuffer(told.framebuffer) + bytes(tail)


def _framebuffer(shown: Framebuffer) -> bytes:
    kind = _RGB if shown.linear else _EGA_TEXT
    return _FRAMEBUFFER.pack(
        shown.address, shown.pitch, shown.width, shown.height, shown.depth, kind, colour_fields(shown)
    )


def colour_fields(shown: Framebuffer) -> bytes:
    """First bit and number of bits of red, green, blue; nothing for text."""
    return bytes(value for colour in shown.colours for value in colour)
