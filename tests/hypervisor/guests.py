"""Guests of a few instructions, as multiboot images. They are unported: the monitor emulates what traps."""

from __future__ import annotations

import struct
from pathlib import Path

LOAD = 0x10_0000
_MAGIC, _ADDRESS_FIELDS = 0x1BADB002, 0x1_0000


def image(code: bytes) -> bytes:
    """A kernel file whose entry is the first byte of `code`, at 1 MiB + 32."""
    flags = (_MAGIC, _ADDRESS_FIELDS, -(_MAGIC + _ADDRESS_FIELDS) & 0xFFFF_FFFF)
    return struct.pack("<8I", *flags, LOAD, LOAD, 0, LOAD + 0x4000, LOAD + 32) + code


def out(port: int, value: int, size: int = 1) -> bytes:
    """mov $port,%dx; mov $value,%eax; out."""
    load = b"\x66\xba" + struct.pack("<H", port) + b"\xb8" + struct.pack("<I", value)
    return load + {1: b"\xee", 2: b"\x66\xef", 4: b"\xef"}[size]


def in_(port: int, size: int = 1) -> bytes:
    """mov $port,%dx; in."""
    return b"\x66\xba" + struct.pack("<H", port) + {1: b"\xec", 2: b"\x66\xed", 4: b"\xed"}[size]


def say(text: bytes) -> bytes:
    """Print on the serial port."""
    return b"".join(out(0x3F8, byte) for byte in text)


def forever(code: bytes) -> bytes:
    """Repeat `code`: jmp back."""
    return code + b"\xe9" + struct.pack("<i", -len(code) - 5)


POWEROFF = out(0x604, 0x2000, 2)
RESET = out(0xCF9, 6)
HALT = b"\xfa\xf4"  # cli; hlt
TRIPLE_FAULT = b"\x0f\x0b"  # ud2 without an IDT
SPIN = b"\xeb\xfe"

# Echo the serial port until 'q', then power off:
#   wait: mov $0x3fd,%dx; in; test $1,%al; jz wait; mov $0x3f8,%dx; in; out; cmp $'q',%al; jne wait
ECHO = bytes.fromhex("66bafd03 ec a801 74f7 66baf803 ec ee 3c71 75ed") + POWEROFF


def write(folder: Path, code: bytes, name: str = "kernel") -> Path:
    """The kernel file for `code` in `folder`."""
    path = folder / name
    path.write_bytes(image(code))
    return path
