"""The BIOS's variables: interrupt vectors, BIOS data area, extended BIOS data area.

Kernels read them where they ask no firmware: the serial ports, base memory, the video mode. The BIOS's clock stands at
midnight: nobody would count it on, and so the same machine begins the same each time.
Source: IBM PS/2 and PC BIOS Interface Technical Reference, "BIOS data area".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hypervisor.firmware.acpi import facs
from hypervisor.firmware.rom import VECTORS
from hypervisor.memory_map import BASE_END, EBDA, FACS, KIB

BDA = 0x400
_COLOUR_80X25, _FPU, _POINTER = 2 << 4, 1 << 1, 1 << 2  # equipment word; no floppy, no parallel port
_SERIAL_SHIFT = 9
VIDEO_MODE = 3  # 80x25 text
COLUMNS, ROWS = 80, 25
CHARACTER_HEIGHT = 16
CRTC_PORT = 0x3D4
KEYBOARD_BUFFER = 0x1E  # offset from segment 40h


def low_memory(disks: int, serial_ports: Sequence[int]) -> dict[int, bytes]:
    """What lies where below 1 MiB, but for the ROM.

    `disks`: number of hard disks; `serial_ports`: first port of each UART.
    """
    return {
        0: struct.pack("<256I", *VECTORS),
        BDA: _data_area(disks, serial_ports),
        EBDA: struct.pack("<B", (BASE_END - EBDA) // KIB),
        FACS: facs(),
    }


def _data_area(disks: int, serial_ports: Sequence[int]) -> bytes:
    area = bytearray(256)

    def word(address: int, *values: int) -> None:
        struct.pack_into(f"<{len(values)}H", area, address - BDA, *values)

    word(0x400, *serial_ports[:4])
    word(0x40E, EBDA >> 4)
    word(0x410, _FPU | _POINTER | _COLOUR_80X25 | min(len(serial_ports), 7) << _SERIAL_SHIFT)
    word(0x413, EBDA // KIB)
    word(0x41A, KEYBOARD_BUFFER, KEYBOARD_BUFFER)  # head and tail: empty
    area[0x449 - BDA] = VIDEO_MODE
    word(0x44A, COLUMNS, 0x1000)  # bytes of a video page, of which the first begins at 0; cursors at 0, 0
    word(0x460, 0x0607)  # cursor's shape: its last lines
    word(0x463, CRTC_PORT)
    area[0x465 - BDA], area[0x466 - BDA] = 0x29, 0x30  # what a CGA's mode and colour registers would hold
    area[0x475 - BDA] = disks
    for number in range(min(len(serial_ports), 4)):
        area[0x47C - BDA + number] = 10  # seconds to wait for it
    word(0x480, KEYBOARD_BUFFER, KEYBOARD_BUFFER + 32)
    area[0x484 - BDA] = ROWS - 1
    word(0x485, CHARACTER_HEIGHT)
    area[0x487 - BDA], area[0x488 - BDA] = 0x60, 0xF9  # 256 KiB of video memory; as the switches of a VGA read
    area[0x489 - BDA], area[0x48A - BDA] = 0x51, 0x08  # 400 scan lines, VGA active; display: VGA with colour
    area[0x496 - BDA] = 0x10  # 101-key keyboard
    return bytes(area)
