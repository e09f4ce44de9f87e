"""Pixels as a PNG file (W3C Portable Network Graphics, 2nd edition): 8 bits a component, no filter."""

from __future__ import annotations

import struct
import zlib

from hypervisor.screen.pixels import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUE_COLOUR = 2


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: Pixels) -> bytes:
    """The file's content."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _TRUE_COLOUR, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
