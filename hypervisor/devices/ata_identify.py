"""The 512 bytes that IDENTIFY DEVICE answers (ATA/ATAPI-6, 8.15.8)."""

from __future__ import annotations

import struct

HEADS, SECTORS_PER_TRACK = 16, 63
MAX_CYLINDERS = 16383
MAX_LBA28 = 0x0FFF_FFFF
MAX_MULTIPLE = 128  # sectors per data block of READ/WRITE MULTIPLE


def geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track by which old software addresses the disk."""
    cylinders = min(max(sectors // (HEADS * SECTORS_PER_TRACK), 1), MAX_CYLINDERS)
    return cylinders, HEADS, SECTORS_PER_TRACK


def identify(sectors: int, serial: str, multiple: int) -> bytes:
    """IDENTIFY data of a disk with PIO, LBA28 and no DMA; `multiple`: current block size or 0."""
    words = [0] * 256
    cylinders, heads, per_track = geometry(sectors)

    def text(at: int, count: int, value: str) -> None:
        data = value.encode("ascii").ljust(2 * count)[: 2 * count]
        words[at : at + count] = struct.unpack(f">{count}H", data)  # the first character is the high byte

    def double(at: int, value: int) -> None:
        words[at], words[at + 1] = value & 0xFFFF, value >> 16

    words[0] = 0x0040  # fixed disk
    words[1], words[3], words[6] = cylinders, heads, per_track
    text(10, 10, serial)
    text(23, 4, "1.0")
    text(27, 20, "RING3 DISK")
    words[47] = 0x8000 | MAX_MULTIPLE
    words[49] = 0x0200  # LBA
    words[50] = 0x4000
    words[51] = 0x0200  # PIO mode 2 without IORDY
    words[53] = 0x0003  # words 54-58 and 64-70 are valid
    words[54], words[55], words[56] = cylinders, heads, per_track
    double(57, cylinders * heads * per_track)
    words[59] = 0x0100 | multiple if multiple else 0
    double(60, min(sectors, MAX_LBA28))
    words[64] = 0x0003  # PIO modes 3 and 4
    words[67] = words[68] = 120  # ns per PIO transfer
    words[80] = 0x0070  # ATA-4 to ATA-6
    words[83] = 0x5000  # FLUSH CACHE
    words[84] = 0x4000
    words[86] = 0x1000
    words[87] = 0x4000
    return struct.pack("<256H", *words)
