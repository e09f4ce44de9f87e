"""Multiboot 2: the header in the kernel file, and where the kernel and what it is told of go.

Source: Multiboot2 Specification 2.0, section 3.1 (header), 3.3 (machine state). Numbers of tags are in
``multiboot2_info``, whose tags kernels may ask for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from hypervisor.devices.framebuffer import TEXT, linear_framebuffer
from hypervisor.errors import RingError
from hypervisor.loaders import address_fields, elf
from hypervisor.loaders import multiboot2_info as info
from hypervisor.loaders.address_fields import AddressFields
from hypervisor.loaders.elf import Image
from hypervisor.loaders.handover import BootMachine, BootRequest, BootSegments, Plan, place_modules
from hypervisor.loaders.placement import Placement
from hypervisor.loaders.sections import place_sections

HEADER_MAGIC = 0xE852_50D6
BOOT_MAGIC = 0x36D7_6289  # EAX at entry
SEARCH = 32768  # the header lies in the first bytes of the file
I386 = 0

# Header tags
END, REQUESTS, ADDRESS, ENTRY, CONSOLE, FRAMEBUFFER, ALIGNMENT = 0, 1, 2, 3, 4, 5, 6
EFI_SERVICES, EFI_ENTRY, EFI64_ENTRY, RELOCATABLE = 7, 8, 9, 10
_FIELDS = {ADDRESS: "<4I", ENTRY: "<I", CONSOLE: "<I", FRAMEBUFFER: "<3I", RELOCATABLE: "<4I"}
_NOTHING_TO_DO = (ALIGNMENT, EFI_SERVICES, EFI_ENTRY, EFI64_ENTRY)  # modules are aligned, firmware is not EFI
_OPTIONAL = 1  # flag of a tag
_CONSOLE_REQUIRED, _EGA_TEXT = 1, 2
_LOWEST, _HIGHEST = 1, 2  # preference of the relocatable tag


@dataclass
class Header:
    """The multiboot 2 header, found at `offset`; what the kernel does not give is None.

    `video`: width, height and depth that it prefers. `movable`: lowest and highest address, alignment, preference.
    """

    offset: int
    addresses: AddressFields | None = None
    entry: int | None = None
    console: int = 0
    video: tuple[int, int, int] | None = None
    movable: tuple[int, int, int, int] | None = None
    efi_entries: list[int] = field(default_factory=list)


def find_header(path: Path, data: bytes) -> Header | None:
    """The kernel's multiboot 2 header, or None. Raises RingError where it asks for what nobody can give."""
    for offset in range(0, min(len(data), SEARCH) - 15, 8):
        magic, architecture, length, checksum = struct.unpack_from("<4I", data, offset)
        if magic != HEADER_MAGIC or (magic + architecture + length + checksum) & 0xFFFF_FFFF:
            continue
        if architecture != I386:
            raise RingError(f"{path}: its multiboot 2 header is for architecture {architecture}, not 0 (i386)")
        if offset + length > len(data):
            raise RingError(f"{path} is truncated within its multiboot 2 header; build it again")
        return _read_tags(path, data[offset : offset + length], Header(offset))
    return None


def _read_tags(path: Path, data: bytes, header: Header) -> Header:
    at = 16
    while True:
        if at + 8 > len(data):
            raise RingError(f"{path}: its multiboot 2 header has no end tag (type 0, size 8); mend the header")
        kind, flags, size = struct.unpack_from("<HHI", data, at)
        layout = _FIELDS.get(kind, "")
        if size < 8 + struct.calcsize(layout) or at + size > len(data):
            raise RingError(f"{path}: tag {kind} of its multiboot 2 header has size {size}; mend the header")
        if kind == END:
            return header
        values = struct.unpack_from(layout, data, at + 8)
        if kind == ADDRESS:
            header.addresses = AddressFields(*values)
        elif kind == ENTRY:
            header.entry = values[0]
        elif kind == CONSOLE:
            header.console = values[0]
        elif kind == FRAMEBUFFER:
            header.video = (values[0], values[1], values[2])
        elif kind == RELOCATABLE:
            header.movable = (values[0], values[1], values[2], values[3])
        elif kind == REQUESTS and not flags & _OPTIONAL:
            _check_requests(path, struct.unpack_from(f"<{(size - 8) // 4}I", data, at + 8))
        elif kind not in (REQUESTS, *_NOTHING_TO_DO) and not flags & _OPTIONAL:
            raise RingError(f"{path} requires multiboot 2 header tag {kind}, which is unknown; mark it as optional")
        if kind in (EFI_ENTRY, EFI64_ENTRY):
            header.efi_entries.append(kind)
        at = (at + size + 7) & ~7


def _check_requests(path: Path, wanted: tuple[int, ...]) -> None:
    """What is known, but has nothing to tell of on this machine, is left out, as on a PC without it."""
    for kind in wanted:
        if kind in info.EFI_TAGS:
            raise RingError(
                f"{path} requires multiboot 2 information {kind}, which is EFI's; this PC has a BIOS: mark the "
                "request as optional"
            )
        if kind not in info.KNOWN_TAGS:
            raise RingError(f"{path} requires multiboot 2 information {kind}, which is unknown; mark it as optional")


def plan(
    request: BootRequest, data: bytes, header: Header, machine: BootMachine, placement: Placement,
    segments: BootSegments,
) -> Plan:  # fmt: skip
    """Where the kernel, its modules and the information go. Raises RingError for what cannot be booted."""
    image = _image(request.kernel, data, header)
    load_base = None
    if header.movable:
        image = _move(request.kernel, image, header.movable, placement)
        load_base = image.start
    else:
        placement.claim_image(request.kernel, image)
    modules, parts = place_modules(placement, request.modules)
    sections = None if header.addresses else place_sections(data, placement)
    framebuffer = linear_framebuffer(machine.memory, *header.video) if header.video else None
    if not framebuffer and header.console & _CONSOLE_REQUIRED and not header.console & _EGA_TEXT:
        raise RingError(
            f"{request.kernel} requires a console and can do no text, and there is no room for a framebuffer; give "
            "less --memory, or set bit 1 of its console flags"
            if header.video else
            f"{request.kernel} requires a console and names none; set bit 1 (EGA text) of its console flags, or add a "
            "framebuffer tag"
        )  # fmt: skip
    told = info.Told(
        machine, f"{request.kernel.name} {request.append}".strip(), modules, sections, framebuffer or TEXT, load_base
    )
    at = placement.find("boot information", len(info.information(0, told)), low=True)
    parts += [*(sections.parts if sections else ()), (at, info.information(at, told))]
    return Plan(image, segments, parts, eax=BOOT_MAGIC, ebx=at, framebuffer=framebuffer)


def _image(path: Path, data: bytes, header: Header) -> Image:
    if header.addresses:
        if header.entry is None:
            remedy = "EFI entries are of no use here; add" if header.efi_entries else "add"
            raise RingError(f"{path}: its multiboot 2 header has an address tag, but no entry; {remedy} an entry tag")
        return address_fields.image(path, data, header.offset, header.addresses, header.entry)
    image = elf.parse(path, data)
    return image if header.entry is None else image.entered_at(path, header.entry)


def _move(path: Path, image: Image, movable: tuple[int, int, int, int], placement: Placement) -> Image:
    """Claim a place for `image` that the relocatable tag allows: where it is linked, unless it prefers another."""
    lowest, highest, align, preference = movable
    align = align or 1
    size = image.end - image.start
    if align & (align - 1) or lowest > highest:
        raise RingError(f"{path}: the relocatable tag of its multiboot 2 header contradicts itself; mend the header")
    fits = lowest <= image.start and image.end - 1 <= highest and image.start % align == 0
    if preference not in (_LOWEST, _HIGHEST) and fits and placement.is_free(image.start, size):
        placement.claim_image(path, image)
        return image
    at = placement.find_between(
        str(path), size, first=lowest, last=highest + 1, align=align, highest=preference == _HIGHEST
    )
    return image.moved(at - image.start)
