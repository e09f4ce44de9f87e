"""What the 82540EM does to a packet before it leaves: checksums, and cutting a long TCP segment into many.

Source: Intel 317453-006, 3.3.7 (context descriptor) and 3.5 (TCP segmentation); the checksum is RFC 1071's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_TCP, _IPV4 = 1, 2  # TUCMD
_FIN, _PSH = 0x01, 0x08
_UDP_LENGTH, _TCP_SEQUENCE, _TCP_FLAGS = 4, 4, 13


@dataclass(frozen=True)
class Context:
    """A context descriptor: where checksums begin, go and end (offsets in bytes; end 0: the packet's), how to cut."""

    ip_start: int = 0
    ip_at: int = 0
    ip_end: int = 0
    start: int = 0
    at: int = 0
    end: int = 0
    payload: int = 0
    command: int = 0
    header: int = 0
    segment: int = 0

    @classmethod
    def unpack(cls, descriptor: bytes) -> Context:
        """From the descriptor's 16 bytes."""
        ip_start, ip_at, ip_end, start, at, end, word, _, header, segment = struct.unpack("<BBHBBHIBBH", descriptor)
        return cls(ip_start, ip_at, ip_end, start, at, end, word & 0xFFFFF, word >> 24, header, segment)


def _sum(data: bytes | bytearray) -> int:
    if len(data) & 1:
        data = bytes(data) + b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _insert(packet: bytearray, start: int, at: int, end: int) -> None:
    """Put the checksum from `start` to `end` at `at`, whose old value (a pseudo header's sum) is part of it."""
    last = end + 1 if end else len(packet)
    if at + 2 <= len(packet):
        packet[at : at + 2] = (~_sum(packet[start:last]) & 0xFFFF).to_bytes(2, "big")


def checksummed(packet: bytearray, context: Context, ip: bool, tcp: bool) -> bytearray:
    """`packet`, with the checksums that the data descriptor asks for (POPTS)."""
    if tcp:
        _insert(packet, context.start, context.at, context.end)
    if ip:
        _insert(packet, context.ip_start, context.ip_at, context.ip_end)
    return packet


def _word(packet: bytearray, at: int, value: int) -> None:
    if at + 2 <= len(packet):
        packet[at : at + 2] = (value & 0xFFFF).to_bytes(2, "big")


def segments(data: bytes, context: Context, ip: bool, tcp: bool) -> Iterator[bytearray]:
    """The packets into which a long one is cut: the header, brought up to date, and at most MSS bytes more."""
    header, size = data[: context.header], context.segment
    payload = data[context.header : context.header + context.payload] if context.payload else data[context.header :]
    if not size:
        return
    ip_at, at, is_tcp = context.ip_start, context.start, context.command & _TCP
    identity = int.from_bytes(header[ip_at + 4 : ip_at + 6], "big")
    sequence = int.from_bytes(header[at + _TCP_SEQUENCE : at + _TCP_SEQUENCE + 4], "big")
    for number, offset in enumerate(range(0, max(len(payload), 1), size)):
        part = payload[offset : offset + size]
        packet = bytearray(header + part)
        if context.command & _IPV4:
            _word(packet, ip_at + 2, len(packet) - ip_at)
            _word(packet, ip_at + 4, identity + number)
        else:
            _word(packet, ip_at + 4, len(packet) - ip_at - 40)  # IPv6: what follows its header
        length = len(packet) - at
        if is_tcp and at + _TCP_FLAGS < len(header):
            packet[at + _TCP_SEQUENCE : at + _TCP_SEQUENCE + 4] = (sequence + offset & 0xFFFF_FFFF).to_bytes(4, "big")
            if offset + size < len(payload):
                packet[at + _TCP_FLAGS] &= ~(_FIN | _PSH)
        elif not is_tcp:
            _word(packet, at + _UDP_LENGTH, length)
        # The driver has left the pseudo header's sum there, without the length, which differs by packet.
        if tcp and context.at + 2 <= len(packet):
            pseudo = int.from_bytes(packet[context.at : context.at + 2], "big") + length
            _word(packet, context.at, (pseudo & 0xFFFF) + (pseudo >> 16))
        yield checksummed(packet, context, ip, tcp)
