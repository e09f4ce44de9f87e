"""What a PC's firmware leaves in memory: interrupt vectors, BIOS data area, EBDA.

Kernels read it where they ask no firmware: the number of serial ports, base memory, the video mode.
Source: the IBM PC AT Technical Reference, "BIOS data area"; there is no BIOS code behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hypervisor.memory_map import BASE_END, EBDA, KIB, ROM

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

BDA = 0x400
_IRET_OFFSET = 0xFF53  # where every BIOS since the PC keeps a bare IRET
_IRET = b"\xcf"
_RESET_VECTOR = 0xF_FFF0
_BIOS_DATE = b"01/01/24\0\xfc"  # at F000:FFF5, then the model byte: AT

EQUIPMENT = 0x0026  # 80x25 colour, FPU, PS/2 mouse port present; and from bit 9 on the number of serial ports
VIDEO_MODE = 3  # 80x25 text
COLUMNS, ROWS = 80, 25
CRTC_PORT = 0x3D4
KEYBOARD_BUFFER = 0x1E  # offset from segment 40h


def write_firmware_data(memory: GuestMemory, disks: int, serials: Sequence[int]) -> None:
    """Fill the first pages and the BIOS area of RAM; `disks`: number of hard disks; `serials`: first port of each
    serial port (up to four)."""
    memory.write(0, struct.pack("<HH", _IRET_OFFSET, ROM >> 4) * 256)
    memory.write(ROM + _IRET_OFFSET, _IRET)
    memory.write(_RESET_VECTOR, b"\xea\xf0\xff\x00\xf0" + _BIOS_DATE)  # jmp to itself, never run
    memory.write(BDA, _data_area(disks, serials))
    memory.write(EBDA, struct.pack("<B", (BASE_END - EBDA) // KIB))


def _data_area(disks: int, serials: Sequence[int]) -> bytes:
    area = bytearray(256)

    def word(address: int, value: int) -> None:
        struct.pack_into("<H", area, address - BDA, value)

    for place, port in enumerate(serials):
        word(0x400 + 2 * place, port)
    word(0x40E, EBDA >> 4)
    word(0x410, EQUIPMENT | len(serials) << 9)
    word(0x413, EBDA // KIB)
    word(0x41A, KEYBOARD_BUFFER)  # head and tail: empty
    word(0x41C, KEYBOARD_BUFFER)
    area[0x449 - BDA] = VIDEO_MODE
    word(0x44A, COLUMNS)
    word(0x44C, COLUMNS * ROWS * 2 + 96)  # bytes of a video page
    word(0x460, 0x0607)  # cursor shape
    word(0x463, CRTC_PORT)
    area[0x475 - BDA] = disks
    word(0x480, KEYBOARD_BUFFER)
    word(0x482, KEYBOARD_BUFFER + 32)
    area[0x484 - BDA] = ROWS - 1
    word(0x485, 16)  # character height
    area[0x496 - BDA] = 0x10  # 101-key keyboard
    return bytes(area)
