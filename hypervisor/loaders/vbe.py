"""What a VESA BIOS would say of the one graphics mode there is, for kernels that were told by it.

Source: VESA BIOS Extension (VBE) Core Functions Standard 3.0, functions 00h and 01h. There is no BIOS to call: mode and
framebuffer are set, and nothing else can be done.
"""

from __future__ import annotations

import struct

from hypervisor.devices.framebuffer import Framebuffer

LINEAR = 0x4000
MODE = LINEAR | 0x0140  # a number that no VESA mode has; with bit 14: by linear framebuffer

_ATTRIBUTES = 1 << 0 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7  # supported, colour, graphics, not VGA, linear
_DIRECT_COLOUR = 6  # memory model
_GRANULARITY = 1 << 16
_REAL_MODE_END = 1 << 20
_HEAD = struct.Struct("<4sHIIIH")


def control_block(shown: Framebuffer, address: int) -> bytes:
    """VbeInfoBlock (512 bytes) for guest-physical `address`: version 3.0, the video memory, the list of modes."""
    modes = address + _HEAD.size
    far = modes >> 4 << 16 | modes & 15 if modes < _REAL_MODE_END else 0
    head = _HEAD.pack(b"VESA", 0x300, 0, 0, far, shown.size // _GRANULARITY)
    return (head + struct.pack("<HH", MODE & ~LINEAR, 0xFFFF)).ljust(512, b"\0")


def mode_block(shown: Framebuffer) -> bytes:
    """ModeInfoBlock (256 bytes) of the mode that is set; no windows."""
    masks = b"".join(struct.pack("<BB", bits, first) for first, bits in shown.colours)
    spare = shown.depth - sum(bits for _, bits in shown.colours)
    masks += struct.pack("<BB", spare, sum(bits for _, bits in shown.colours) if spare else 0)
    banked = struct.pack("<HBBHHHHIH", _ATTRIBUTES, 0, 0, 0, 0, 0, 0, 0, shown.pitch)
    screen = struct.pack("<HHBBBBBBBBB", shown.width, shown.height, 8, 16, 1, shown.depth, 1, _DIRECT_COLOUR, 0, 0, 1)
    linear = struct.pack("<BIIHHBB", 0, shown.address, 0, 0, shown.pitch, 0, 0)
    return (banked + screen + masks + linear + masks + bytes(4)).ljust(256, b"\0")
