"""Framing of gdb's remote serial protocol: ``$data#checksum``, acknowledgements, the interrupt byte."""

from __future__ import annotations

from typing import Final

INTERRUPT: Final = b"\x03"
LONGEST = 0x4000  # bytes of one packet, as told in qSupported


def frame(data: bytes) -> bytes:
    """`data` as a packet, with what must be escaped escaped."""
    escaped = bytearray()
    for byte in data:
        if byte in b"#$}*":
            escaped += bytes([0x7D, byte ^ 0x20])
        else:
            escaped.append(byte)
    return b"$%s#%02x" % (bytes(escaped), sum(escaped) & 0xFF)


def _plain(data: bytes) -> bytes:
    plain, escaped = bytearray(), False
    for byte in data:
        if not escaped and byte == 0x7D:
            escaped = True
            continue
        plain.append(byte ^ 0x20 if escaped else byte)
        escaped = False
    return bytes(plain)


class Reader:
    """Takes a stream apart. What is no packet is skipped, what is too long forgotten."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> None:
        """More of the stream."""
        self._waiting += data

    @property
    def waiting(self) -> bool:
        """Whether something came that `next` has not given out."""
        return bool(self._waiting)

    def next(self) -> bytes | None:
        """The next packet's content, INTERRUPT, b"-" for a broken packet, or None where more must come."""
        waiting = self._waiting
        while waiting:
            if waiting[0] == INTERRUPT[0]:
                del waiting[:1]
                return INTERRUPT
            if waiting[0] != ord("$"):
                del waiting[:1]
                continue
            end = waiting.find(b"#")
            if end < 0 or len(waiting) < end + 3:
                if len(waiting) > 2 * LONGEST + 4:
                    waiting.clear()
                    return b"-"
                return None
            data, check = bytes(waiting[1:end]), bytes(waiting[end + 1 : end + 3])
            del waiting[: end + 3]
            try:
                right = int(check, 16) == sum(data) & 0xFF
            except ValueError:
                right = False
            return _plain(data) if right else b"-"
        return None
