"""What a CD-ROM drive answers to packets, for a disc with one data track.

Sources: SFF-8020i (ATAPI CD-ROM), chapter 10, and MMC-3, chapter 6. The disc is always there unless the guest opens
the tray (START STOP UNIT).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypervisor.devices.disk import SECTOR, DiskImage

BLOCK = 2048
_SECTORS = BLOCK // SECTOR
_LEAD_OUT = 0xAA
_PREGAP = 150  # frames before block 0, which addresses in minutes and seconds count
_FRAMES, _SECONDS = 75, 60

NO_SENSE, NOT_READY, MEDIUM_ERROR, ILLEGAL_REQUEST = 0, 2, 3, 5  # sense keys
_NO_MEDIUM, _UNREADABLE, _BAD_COMMAND, _OUT_OF_RANGE, _BAD_FIELD, _NO_SAVING, _LOCKED = (
    0x3A, 0x11, 0x20, 0x21, 0x24, 0x39, 0x53)  # additional sense codes  # fmt: skip

_MSF = 2  # READ TOC: addresses in minutes, seconds, frames
_CD_ROM, _DVD_ROM = 0x0008, 0x0010  # profiles
_DVD_FROM = 80 * _SECONDS * _FRAMES  # blocks: no CD is as long


class CheckCondition(Exception):
    """The command failed: sense key and additional sense code."""

    def __init__(self, key: int, code: int) -> None:
        super().__init__(f"sense {key:x}/{code:02x}")
        self.key, self.code = key, code

    @classmethod
    def unreadable(cls) -> CheckCondition:
        """The host cannot read the image."""
        return cls(MEDIUM_ERROR, _UNREADABLE)


Reply = bytes | tuple[int, int]
"""Data, or the first sector of 512 bytes and the number of sectors to read."""


class CdRom:
    """The drive's mechanism and its sense data."""

    def __init__(self, image: DiskImage) -> None:
        self.blocks = -(-image.sectors // _SECTORS)
        self._sense = CheckCondition(NO_SENSE, 0)
        self._open = self._locked = False

    def remember(self, condition: CheckCondition) -> None:
        """What REQUEST SENSE will tell."""
        self._sense = condition

    def execute(self, packet: bytes) -> Reply:
        """The answer to a packet of 12 bytes. Raises CheckCondition."""
        handler = _COMMANDS.get(packet[0])
        if handler is None:
            raise CheckCondition(ILLEGAL_REQUEST, _BAD_COMMAND)
        if packet[0] not in _WITHOUT_DISC and self._open:
            raise CheckCondition(NOT_READY, _NO_MEDIUM)
        if packet[0] != _REQUEST_SENSE:
            self._sense = CheckCondition(NO_SENSE, 0)
        return handler(self, packet)

    # --- commands -------------------------------------------------------------------------------------

    def _ready(self, packet: bytes) -> bytes:
        return b""

    def _request_sense(self, packet: bytes) -> bytes:
        sense, self._sense = self._sense, CheckCondition(NO_SENSE, 0)
        return struct.pack(">BxB4xB4xB5x", 0xF0, sense.key, 10, sense.code)[: packet[4]]

    def _inquiry(self, packet: bytes) -> bytes:
        data = struct.pack(">BBBBB3x8s16s4s", 5, 0x80, 0, 0x21, 31, b"RING3   ", b"CD-ROM          ", b"1.0 ")
        return data[: packet[4]]

    def _start_stop(self, packet: bytes) -> bytes:
        if packet[4] & 2:  # load or eject
            opens = not packet[4] & 1
            if opens and self._locked:
                raise CheckCondition(ILLEGAL_REQUEST, _LOCKED)
            self._open = opens
        return b""

    def _prevent_removal(self, packet: bytes) -> bytes:
        self._locked = bool(packet[4] & 1)
        return b""

    def _capacity(self, packet: bytes) -> bytes:
        return struct.pack(">II", self.blocks - 1, BLOCK)

    def _extent(self, first: int, count: int) -> Reply:
        if first + count > self.blocks:
            raise CheckCondition(ILLEGAL_REQUEST, _OUT_OF_RANGE)
        return (first * _SECTORS, count * _SECTORS) if count else b""

    def _read_10(self, packet: bytes) -> Reply:
        first, count = struct.unpack(">2xIxH3x", packet)
        return self._extent(first, count)

    def _read_12(self, packet: bytes) -> Reply:
        first, count = struct.unpack(">2xII2x", packet)
        return self._extent(first, count)

    def _seek(self, packet: bytes) -> bytes:
        (block,) = struct.unpack(">2xI6x", packet)
        if block >= self.blocks:
            raise CheckCondition(ILLEGAL_REQUEST, _OUT_OF_RANGE)
        return b""

    def _address(self, block: int, msf: bool) -> bytes:
        if not msf:
            return struct.pack(">I", block)
        frames = block + _PREGAP
        return bytes([0, frames // (_FRAMES * _SECONDS) & 0xFF, frames // _FRAMES % _SECONDS, frames % _FRAMES])

    def _toc(self, packet: bytes) -> bytes:
        """The table of contents: the track and the lead-out, or the first track of the last session."""
        msf, first = bool(packet[1] & _MSF), packet[6]
        length = int.from_bytes(packet[7:9], "big")
        kind = packet[2] & 15 or packet[9] >> 6
        track = bytes([0, 0x14, 1, 0]) + self._address(0, msf)
        lead_out = bytes([0, 0x16, _LEAD_OUT, 0]) + self._address(self.blocks, msf)
        if kind == 0:
            if 1 < first != _LEAD_OUT:
                raise CheckCondition(ILLEGAL_REQUEST, _BAD_FIELD)
            entries = (track if first <= 1 else b"") + lead_out
        elif kind == 1:
            entries = track
        else:
            raise CheckCondition(ILLEGAL_REQUEST, _BAD_FIELD)
        return (struct.pack(">HBB", len(entries) + 2, 1, 1) + entries)[:length]

    def _mode_sense(self, packet: bytes) -> bytes:
        """The current or default values of one page."""
        which, page, length = packet[2] >> 6, packet[2] & 0x3F, int.from_bytes(packet[7:9], "big")
        if which == 3:
            raise CheckCondition(ILLEGAL_REQUEST, _NO_SAVING)
        if which == 1 or page not in _PAGES:
            raise CheckCondition(ILLEGAL_REQUEST, _BAD_FIELD)
        data = _PAGES[page]
        return (struct.pack(">HB5x", 6 + len(data), 0x70 if self._open else 0x01) + data)[:length]

    def _configuration(self, packet: bytes) -> bytes:
        """The features that the drive has, and the profile of the disc in it."""
        kind, first, length = packet[1] & 3, int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[7:9], "big")
        if kind == 3:
            raise CheckCondition(ILLEGAL_REQUEST, _BAD_FIELD)
        profile = 0 if self._open else _DVD_ROM if self.blocks > _DVD_FROM else _CD_ROM
        current = [entry for entry in _features(profile) if
                   entry[0] == first or (kind != 2 and entry[0] > first and (kind == 0 or entry[1] & 1))]
        data = b"".join(struct.pack(">HBB", code, flags, len(body)) + body for code, flags, body in current)
        return (struct.pack(">IHH", 4 + len(data), 0, profile) + data)[:length]

    def _events(self, packet: bytes) -> bytes:
        """GET EVENT STATUS NOTIFICATION, polled: nothing has happened to the medium."""
        if not packet[1] & 1:
            raise CheckCondition(ILLEGAL_REQUEST, _BAD_FIELD)
        length = int.from_bytes(packet[7:9], "big")
        if not packet[4] & 0x10:
            return struct.pack(">HBB", 2, 0x80, 0x10)[:length]
        return struct.pack(">HBBBBxx", 6, 4, 0x10, 0, 1 if self._open else 2)[:length]

    def _mechanism(self, packet: bytes) -> bytes:
        return struct.pack(">5xBH", 1, 0)[: int.from_bytes(packet[8:10], "big")]


def _features(profile: int) -> list[tuple[int, int, bytes]]:
    """Code, flags (persistent, current) and data of each feature (MMC-3, 5.3)."""
    profiles = b"".join(struct.pack(">HBx", number, number == profile) for number in (_DVD_ROM, _CD_ROM))
    return [(0x0000, 0x03, profiles), (0x0001, 0x0B, struct.pack(">IB3x", 2, 1)),
            (0x0003, 0x03, struct.pack(">B3x", 0x29))]  # fmt: skip


_PAGES = {
    0x01: bytes([0x01, 6, 0, 5, 0, 0, 0, 0]),  # error recovery: 5 attempts
    0x2A: struct.pack(">BBBBBBBBHHHHxxxx", 0x2A, 18, 0x03, 0, 0x70, 0x60, 0x29, 0, 706, 2, 512, 706),  # capabilities
}
_REQUEST_SENSE, _INQUIRY = 0x03, 0x12
_COMMANDS: dict[int, Callable[[CdRom, bytes], Reply]] = {
    0x00: CdRom._ready, _REQUEST_SENSE: CdRom._request_sense, _INQUIRY: CdRom._inquiry, 0x1B: CdRom._start_stop,
    0x1E: CdRom._prevent_removal, 0x25: CdRom._capacity, 0x28: CdRom._read_10, 0xA8: CdRom._read_12,
    0x2B: CdRom._seek, 0x43: CdRom._toc, 0x5A: CdRom._mode_sense, 0x46: CdRom._configuration, 0x4A: CdRom._events,
    0xBB: CdRom._ready, 0xBD: CdRom._mechanism,
}  # fmt: skip
_WITHOUT_DISC = frozenset({_REQUEST_SENSE, _INQUIRY, 0x1B, 0x1E, 0x5A, 0x46, 0x4A, 0xBB, 0xBD})
