"""The Linux boot protocol, from the 32-bit entry: bzImage, and vmlinux.

Source: Linux, Documentation/arch/x86/boot.rst ("The Real-Mode Kernel Header", "32-bit Boot Protocol") and
zero-page.rst; arch/x86/include/uapi/asm/bootparam.h for offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from hypervisor.devices.framebuffer import TEXT
from hypervisor.errors import RingError
from hypervisor.loaders import elf
from hypervisor.loaders.elf import Image, Segment
from hypervisor.loaders.handover import PAGE, BootMachine, BootRequest, BootSegments, Plan
from hypervisor.loaders.placement import Placement
from hypervisor.memory_map import HIGH, KIB

MAGIC_AT, MAGIC = 0x202, b"HdrS"
_BOOT_FLAG = 0xAA55
_SECTOR = 512
_HEADER_AT, _HEADER_END = 0x1F1, 0x290  # the setup header, in the file and in the zero page
_OLDEST = 0x0202  # first with a 32-bit pointer to the command line
_NEWEST = 0x020F  # what a vmlinux, which has no header, is told
_LOADED_HIGH = 1  # loadflags
_KERNEL_64 = 1  # xloadflags
_UNDEFINED_LOADER = 0xFF
_NORMAL_VIDEO = 0xFFFF
_DEFAULT_COMMAND_LINE, _VMLINUX_COMMAND_LINE = 255, 2047
_DEFAULT_INITRD_MAX = 0x37FF_FFFF

# Offsets in the zero page
_SCREEN, _EXT_MEM, _RSDP, _ALT_MEM, _E820_COUNT, _E820 = 0x00, 0x02, 0x070, 0x1E0, 0x1E8, 0x2D0
_VIDEO_MODE_TEXT, _VGA = 3, 1


@dataclass(frozen=True)
class SetupHeader:
    """The setup header of a bzImage; fields that an old version lacks have their documented defaults."""

    data: bytes  # as in the file, from 0x1f1 on
    version: int
    code: bytes  # the protected-mode part
    load_address: int
    initrd_max: int
    alignment: int
    movable: bool
    command_line_max: int
    init_size: int


def is_bzimage(data: bytes) -> bool:
    """Whether `data` begins with the boot sector and setup header of a Linux kernel."""
    return data[MAGIC_AT : MAGIC_AT + 4] == MAGIC and data[0x1FE:0x200] == _BOOT_FLAG.to_bytes(2, "little")


def read_header(path: Path, data: bytes) -> SetupHeader:
    """Read and check a bzImage. Raises RingError for what this loader cannot boot."""

    def at(offset: int, layout: str, since: int, default: int) -> int:
        return int(struct.unpack_from(layout, data, offset)[0]) if version >= since else default

    if len(data) < _HEADER_END:
        raise RingError(f"{path} is a truncated Linux kernel; build it again")
    version = struct.unpack_from("<H", data, 0x206)[0]
    if version < _OLDEST:
        raise RingError(
            f"{path} has Linux boot protocol {version >> 8}.{version & 0xFF:02}; 2.02 is the oldest possible"
        )
    if not data[0x211] & _LOADED_HIGH:
        raise RingError(f"{path} is a zImage; build the kernel as a bzImage")
    if at(0x236, "<H", 0x020C, 0) & _KERNEL_64:
        raise RingError(f"{path} is a 64-bit Linux kernel; ring3 runs 32-bit i386 kernels (make ARCH=i386)")
    setup = ((data[_HEADER_AT] or 4) + 1) * _SECTOR
    size = struct.unpack_from("<I" if version >= 0x0204 else "<H", data, 0x1F4)[0] * 16
    if setup >= len(data) or len(data) - setup + 15 < size:
        raise RingError(f"{path} is a truncated Linux kernel: {len(data)} of {setup + size} bytes; build it again")
    end = min(MAGIC_AT + data[0x201], _HEADER_END)
    return SetupHeader(
        data[_HEADER_AT:end], version, data[setup:],
        at(0x258, "<Q", 0x020A, struct.unpack_from("<I", data, 0x214)[0]),
        at(0x22C, "<I", 0x0203, _DEFAULT_INITRD_MAX),
        at(0x230, "<I", 0x0205, 1) or 1,
        bool(at(0x234, "<B", 0x0205, 0)),
        at(0x238, "<I", 0x0206, _DEFAULT_COMMAND_LINE),
        at(0x260, "<I", 0x020A, 0),
    )  # fmt: skip


def plan(
    request: BootRequest, data: bytes, machine: BootMachine, placement: Placement, segments: BootSegments
) -> Plan:
    """Where kernel, initial RAM disk, command line and zero page go. Raises RingError for what cannot be booted."""
    if is_bzimage(data):
        setup = read_header(request.kernel, data)
        image = _place_bzimage(request.kernel, setup, placement)
    else:
        setup = None
        image = elf.parse(request.kernel, data)
        placement.claim_image(request.kernel, image)
    limit = setup.command_line_max if setup else _VMLINUX_COMMAND_LINE
    text = request.append.encode()
    if len(text) > limit:
        raise RingError(
            f"--append has {len(text)} bytes, and {request.kernel} takes a command line of {limit}; shorten it"
        )
    parts = []
    initrd_at, initrd = 0, b""
    if request.initrd:
        initrd = elf.read_file(request.initrd, "initrd")
        last = (setup.initrd_max if setup else _DEFAULT_INITRD_MAX) + 1
        initrd_at = placement.find_between(
            f"initrd {request.initrd}", max(len(initrd), 1), first=HIGH, last=last, align=PAGE, highest=True
        )
        parts.append((initrd_at, initrd))
    command_at = placement.find("the command line", len(text) + 1, low=True)
    zero_at = placement.find("Linux's zero page", PAGE, align=PAGE, low=True)
    parts += [
        (command_at, text + b"\0"),
        (zero_at, zero_page(setup, machine, command_at, (initrd_at, len(initrd)), image.start)),
    ]
    return Plan(image, segments, parts, esi=zero_at)


def _place_bzimage(path: Path, setup: SetupHeader, placement: Placement) -> Image:
    """Claim what the kernel needs until it has read the memory map: at the address it prefers, or another."""
    size = max(setup.init_size, len(setup.code))
    start = setup.load_address
    if setup.movable and not placement.is_free(start, size):
        start = placement.find_between(
            str(path), size, first=HIGH, last=_DEFAULT_INITRD_MAX, align=setup.alignment, highest=False
        )
    else:
        placement.claim(f"{path}: the kernel while it unpacks", start, size)
    return Image((Segment(start, start, setup.code, len(setup.code)),), start)


def _vmlinux_header() -> bytes:
    """The setup header of a kernel without one, which still looks at the version of its loader's protocol."""
    header = bytearray(_HEADER_END - _HEADER_AT)

    def put(offset: int, layout: str, value: int) -> None:
        struct.pack_into("<" + layout, header, offset - _HEADER_AT, value)

    put(0x1FE, "H", _BOOT_FLAG)
    put(MAGIC_AT, "I", int.from_bytes(MAGIC, "little"))
    put(0x206, "H", _NEWEST)
    put(0x211, "B", _LOADED_HIGH)
    put(0x22C, "I", _DEFAULT_INITRD_MAX)
    put(0x238, "I", _VMLINUX_COMMAND_LINE)
    return bytes(header)


def zero_page(
    setup: SetupHeader | None, machine: BootMachine, command_line: int, initrd: tuple[int, int], load_address: int
) -> bytes:
    """`struct boot_params`: the setup header with a loader's fields, screen, memory map, RSDP.

    `command_line`, `initrd` (with its size) and `load_address` are guest-physical.
    """
    page = bytearray(PAGE)

    def put(offset: int, layout: str, *values: int) -> None:
        struct.pack_into("<" + layout, page, offset, *values)

    header = setup.data if setup else _vmlinux_header()
    page[_HEADER_AT : _HEADER_AT + len(header)] = header
    regions = machine.regions(None)
    put(_SCREEN + 0x06, "BB", _VIDEO_MODE_TEXT, TEXT.width)
    put(_SCREEN + 0x0E, "BBH", TEXT.height, _VGA, 16)
    put(_EXT_MEM, "H", min((machine.memory - HIGH) // KIB, 0xFFFF))
    put(_RSDP, "Q", machine.rsdp_address)
    put(_ALT_MEM, "I", (machine.memory - HIGH) // KIB)
    put(_E820_COUNT, "B", len(regions))
    for number, part in enumerate(regions):
        put(_E820 + 20 * number, "QQI", part.base, part.length, part.kind)
    put(0x1FA, "H", _NORMAL_VIDEO)
    put(0x210, "B", _UNDEFINED_LOADER)
    put(0x214, "I", load_address)
    put(0x218, "II", *initrd)
    put(0x228, "I", command_line)
    return bytes(page)
