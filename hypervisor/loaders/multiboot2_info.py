"""Multiboot 2: the boot information, tag by tag.

Source: Multiboot2 Specification 2.0, section 3.6; where the text and GRUB's header file disagree (widths of the ELF
sections' counts), the header file, which kernels are built with.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hypervisor.devices.framebuffer import Framebuffer
from hypervisor.firmware.acpi import RSDP_V1_SIZE
from hypervisor.firmware.smbios import MAJOR, MINOR
from hypervisor.loaders import vbe
from hypervisor.loaders.handover import BOOT_DISK, LOADER_NAME, BootMachine, Module
from hypervisor.loaders.multiboot import colour_fields
from hypervisor.loaders.sections import HEADER_SIZE, Sections
from hypervisor.memory_map import HIGH, KIB, USABLE

END, COMMAND_LINE, LOADER, MODULE, MEMORY, BOOT_DEVICE, MMAP, VBE, FRAMEBUFFER, SECTIONS = range(10)
APM, EFI32, EFI64, SMBIOS, RSDP_OLD, RSDP_NEW, NETWORK, EFI_MMAP, EFI_SERVICES, EFI32_IMAGE, EFI64_IMAGE = range(10, 21)
LOAD_BASE = 21
KNOWN_TAGS = range(LOAD_BASE + 1)
EFI_TAGS = (EFI32, EFI64, EFI_MMAP, EFI_SERVICES, EFI32_IMAGE, EFI64_IMAGE)

_HEAD = 8  # of the information, and of each tag
_NONE = 0xFFFF_FFFF  # partition
_RGB, _EGA_TEXT = 1, 2


@dataclass(frozen=True)
class Told:
    """What the boot information says; `load_base`: where a kernel that can be moved was put."""

    machine: BootMachine
    command_line: str
    modules: Sequence[Module]
    sections: Sections | None
    framebuffer: Framebuffer
    load_base: int | None


def information(address: int, told: Told) -> bytes:
    """The boot information for guest-physical `address`."""
    body = bytearray()

    def add(kind: int, content: bytes) -> None:
        body.extend(struct.pack("<II", kind, _HEAD + len(content)) + content)
        body.extend(bytes(-len(body) % 8))

    for kind, content in _tags(told):
        add(kind, content)
    if told.framebuffer.linear:
        add(VBE, _vbe(told.framebuffer, address + _HEAD + len(body) + _HEAD))
    add(END, b"")
    return struct.pack("<II", _HEAD + len(body), 0) + bytes(body)


def _tags(told: Told) -> list[tuple[int, bytes]]:
    """Each tag's number and its content, but for those that depend on where they lie."""
    machine, shown = told.machine, told.framebuffer
    regions = machine.regions(shown)
    lower = next(part.length for part in regions if part.kind == USABLE)
    upper = next(part.length for part in regions if part.base == HIGH)
    mmap = b"".join(struct.pack("<QQII", part.base, part.length, part.kind, 0) for part in regions)
    screen = (shown.address, shown.pitch, shown.width, shown.height, shown.depth, _RGB if shown.linear else _EGA_TEXT)
    tags = [
        (COMMAND_LINE, told.command_line.encode() + b"\0"),
        (LOADER, LOADER_NAME.encode() + b"\0"),
        *((MODULE, struct.pack("<II", one.start, one.end) + one.text.encode() + b"\0") for one in told.modules),
        (MEMORY, struct.pack("<II", lower // KIB, upper // KIB)),
        (BOOT_DEVICE, struct.pack("<III", BOOT_DISK, _NONE, _NONE)),
        (MMAP, struct.pack("<II", 24, 0) + mmap),
        (FRAMEBUFFER, struct.pack("<Q3IBBH", *screen, 0) + colour_fields(shown)),
        (SMBIOS, struct.pack("<BB6x", MAJOR, MINOR) + machine.smbios_entry),
        (RSDP_OLD, machine.rsdp[:RSDP_V1_SIZE]),
        (RSDP_NEW, machine.rsdp),
    ]
    if told.sections:
        counts = struct.pack("<III", told.sections.count, HEADER_SIZE, told.sections.names)
        tags.append((SECTIONS, counts + told.sections.table))
    if told.load_base is not None:
        tags.append((LOAD_BASE, struct.pack("<I", told.load_base)))
    return tags


def _vbe(shown: Framebuffer, address: int) -> bytes:
    head = struct.pack("<HHHH", vbe.MODE, 0, 0, 0)
    return head + vbe.control_block(shown, address + len(head)) + vbe.mode_block(shown)
