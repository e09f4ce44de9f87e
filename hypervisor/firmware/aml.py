"""ACPI machine language, as far as this machine's DSDT needs it: terms as bytes.

Source: ACPI 6.5, chapter 20 (AML grammar), 6.4 (resource descriptors), 19.3.4 (EISA identifiers).
"""

from __future__ import annotations

import struct

_NAME, _SCOPE, _BUFFER, _PACKAGE, _DEVICE = b"\x08", b"\x10", b"\x11", b"\x12", b"\x5b\x82"
_BYTE, _WORD, _DWORD = 0x0A, 0x0B, 0x0C
_IO, _IRQ, _END_TAG = 0x47, 0x22, b"\x79\x00"
_DWORD_SPACE, _WORD_SPACE = 0x87, 0x88
_DECODES_16_BITS = 1
_MEMORY, _PORTS, _BUSES = 0, 1, 2  # kinds of address space
_FIXED = 0x0C  # first and last address; a bridge passes them on
_READ_WRITE, _ALL_PORTS = 1, 3


def integer(value: int) -> bytes:
    """A constant of up to 32 bits, in its shortest form."""
    if value < 2:
        return bytes([value])  # ZeroOp, OneOp
    if value < 1 << 8:
        return struct.pack("<BB", _BYTE, value)
    return struct.pack("<BH", _WORD, value) if value < 1 << 16 else struct.pack("<BI", _DWORD, value)


def name(path: str, value: bytes) -> bytes:
    """Name (path, value)."""
    return _NAME + _path(path) + value


def package(*elements: bytes) -> bytes:
    """Package () { elements }."""
    return _PACKAGE + _with_length(bytes([len(elements)]) + b"".join(elements))


def buffer(data: bytes) -> bytes:
    """Buffer () { data }."""
    return _BUFFER + _with_length(integer(len(data)) + data)


def scope(path: str, *terms: bytes) -> bytes:
    """Scope (path) { terms }."""
    return _SCOPE + _with_length(_path(path) + b"".join(terms))


def device(path: str, *terms: bytes) -> bytes:
    """Device (path) { terms }."""
    return _DEVICE + _with_length(_path(path) + b"".join(terms))


def eisa_id(text: str) -> bytes:
    """EISAID ("PNP0A03"): three letters of five bits, then four hexadecimal digits, most significant byte first."""
    letters = 0
    for letter in text[:3]:
        letters = letters << 5 | ord(letter) - ord("@")
    return integer(int.from_bytes(struct.pack(">HH", letters, int(text[3:], 16)), "little"))


def resources(*descriptors: bytes) -> bytes:
    """ResourceTemplate () { descriptors }."""
    return buffer(b"".join(descriptors) + _END_TAG)


def io(port: int, count: int) -> bytes:
    """`count` ports from `port` on, where they always are."""
    return struct.pack("<BBHHBB", _IO, _DECODES_16_BITS, port, port, 1, count)


def irq(line: int) -> bytes:
    """An ISA interrupt line: an edge, active high."""
    return struct.pack("<BH", _IRQ, 1 << line)


def bus_window(first: int, last: int) -> bytes:
    """Bus numbers behind a bridge."""
    return _word_space(_BUSES, 0, first, last)


def port_window(first: int, last: int) -> bytes:
    """Ports that a bridge passes on."""
    return _word_space(_PORTS, _ALL_PORTS, first, last)


def memory_window(first: int, last: int) -> bytes:
    """Memory addresses that a bridge passes on, uncached."""
    window = (0, first, last, 0, last - first + 1)
    return struct.pack("<BHBBB5I", _DWORD_SPACE, 23, _MEMORY, _FIXED, _READ_WRITE, *window)


def _word_space(kind: int, flags: int, first: int, last: int) -> bytes:
    return struct.pack("<BHBBB5H", _WORD_SPACE, 13, kind, _FIXED, flags, 0, first, last, 0, last - first + 1)


def _path(text: str) -> bytes:
    """A name of one segment, from the root if it begins with a backslash."""
    root = "\\" if text.startswith("\\") else ""
    return (root + text.removeprefix("\\").ljust(4, "_")).encode("ascii")


def _with_length(data: bytes) -> bytes:
    """PkgLength, which counts its own bytes, and `data`."""
    if len(data) + 1 < 1 << 6:
        return bytes([len(data) + 1]) + data
    more = 1 if len(data) + 2 < 1 << 12 else 2
    length = len(data) + 1 + more
    return bytes([more << 6 | length & 15]) + (length >> 4).to_bytes(more, "little") + data
