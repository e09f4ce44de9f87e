"""The 512 bytes that IDENTIFY DEVICE and IDENTIFY PACKET DEVICE answer (ATA/ATAPI-6, 8.15.8 and 8.16.8)."""

from __future__ import annotations

import struct

HEADS, SECTORS_PER_TRACK = 16, 63
MAX_CYLINDERS = 16383
MAX_LBA28 = 0x0FFF_FFFF
SET_TRANSFER_MODE = 3  # subcommand of SET FEATURES (ATA/ATAPI-6, table 44)
MAX_MULTIPLE = 128  # sectors per data block of READ/WRITE MULTIPLE
_PIO_NS = _MULTIWORD_NS = 120  # the fastest cycle
_MULTIWORD_MODES, _ULTRA_MODES = 3, 6


class TransferMode:
    """The DMA mode that the host has chosen; at power-on the fastest Ultra DMA mode, as QEMU's disks have it."""

    def __init__(self) -> None:
        self.multiword: int | None = None
        self.ultra: int | None = _ULTRA_MODES - 1

    def choose(self, value: int) -> bool:
        """Take the value of SET FEATURES, subcommand 3 (ATA/ATAPI-6, table 45); whether there is such a mode."""
        kind, mode = value >> 3, value & 7
        if kind in (0, 1):  # PIO
            return True
        if kind == 0x04 and mode < _MULTIWORD_MODES:
            self.multiword, self.ultra = mode, None
        elif kind == 0x08 and mode < _ULTRA_MODES:
            self.multiword, self.ultra = None, mode
        else:
            return False
        return True

    @staticmethod
    def _word(modes: int, chosen: int | None) -> int:
        return (1 << modes) - 1 | (0 if chosen is None else 0x100 << chosen)

    def describe(self, words: list[int]) -> None:
        """Fill in what IDENTIFY tells of transfer modes."""
        words[53] |= 0x0006  # words 64-70 and 88 are valid
        words[63] = self._word(_MULTIWORD_MODES, self.multiword)
        words[64] = 0x0003  # PIO modes 3 and 4
        words[65] = words[66] = _MULTIWORD_NS
        words[67] = words[68] = _PIO_NS
        words[88] = self._word(_ULTRA_MODES, self.ultra)


def geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track by which old software addresses the disk."""
    cylinders = min(max(sectors // (HEADS * SECTORS_PER_TRACK), 1), MAX_CYLINDERS)
    return cylinders, HEADS, SECTORS_PER_TRACK


def _text(words: list[int], at: int, count: int, value: str) -> None:
    data = value.encode("ascii").ljust(2 * count)[: 2 * count]
    words[at : at + count] = struct.unpack(f">{count}H", data)  # the first character is the high byte


def identify(sectors: int, serial: str, multiple: int, mode: TransferMode) -> bytes:
    """IDENTIFY DEVICE data of a disk; `multiple`: current block size or 0."""
    words = [0] * 256
    cylinders, heads, per_track = geometry(sectors)

    def number(at: int, count: int, value: int) -> None:
        words[at : at + count] = struct.unpack(f"<{count}H", value.to_bytes(2 * count, "little"))

    words[0] = 0x0040  # fixed disk
    words[1], words[3], words[6] = cylinders, heads, per_track
    _text(words, 10, 10, serial)
    _text(words, 23, 4, "1.0")
    _text(words, 27, 20, "RING3 DISK")
    words[47] = 0x8000 | MAX_MULTIPLE
    words[49] = 0x0300  # LBA, DMA
    words[50] = 0x4000
    words[51] = words[52] = 0x0200  # PIO and DMA mode 2
    words[53] = 0x0001  # words 54-58 are valid
    words[54], words[55], words[56] = cylinders, heads, per_track
    number(57, 2, cylinders * heads * per_track)
    words[59] = 0x0100 | multiple if multiple else 0
    number(60, 2, min(sectors, MAX_LBA28))
    mode.describe(words)
    words[80] = 0x0070  # ATA-4 to ATA-6
    words[83] = 0x7400  # FLUSH CACHE, FLUSH CACHE EXT, 48-bit addresses
    words[84] = 0x4000
    words[86] = 0x3400
    words[87] = 0x4000
    number(100, 4, sectors)
    return struct.pack("<256H", *words)


def identify_packet(serial: str, mode: TransferMode) -> bytes:
    """IDENTIFY PACKET DEVICE data of a CD drive."""
    words = [0] * 256
    words[0] = 0x85C0  # ATAPI CD-ROM, removable, asks for the packet within 50 us, 12 bytes
    _text(words, 10, 10, serial)
    _text(words, 23, 4, "1.0")
    _text(words, 27, 20, "RING3 CD-ROM")
    words[49] = 0x0300  # LBA, DMA
    words[51] = words[52] = 0x0200
    mode.describe(words)
    words[71] = words[72] = 30  # ns from the packet to bus release, and from SERVICE
    words[80] = 0x0070
    words[82] = 0x0210  # PACKET, DEVICE RESET
    words[83] = words[84] = 0x4000
    words[85] = 0x0210
    words[87] = 0x4000
    return struct.pack("<256H", *words)
