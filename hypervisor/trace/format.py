"""The trace file: a header, then chunks of compressed records (docs/trace-format.md).

Most records are the monitor's, as they lay in its ring (hypercalls.structs.TRACE). Between them the recorder
puts marks of its own, of kinds that the monitor does not use.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any

from hypercalls import ABI_VERSION
from hypercalls.layout import TRACE_RECORD_SIZE
from hypercalls.structs import TRACE, TraceKind
from hypervisor.errors import RingError

MAGIC = b"R3TRACE\0"
VERSION = 2
CHUNK_MAGIC = b"R3CH"
CHUNK_RECORDS = 1 << 14  # at most
CHUNK_HEADER = struct.Struct("<4sIIIQQII")
"""Magic, stored bytes, records, CRC-32 of what is stored, first and last tsc, CRC-32 of all that, zero."""
CHUNK_CHECKED = 32  # bytes of the header that the second CRC is of
_FIXED = struct.Struct("<8sIIIIQQQII")
_LONGEST_DETAILS = 1 << 24  # bytes


class Mark(IntEnum):
    """Kinds of the recorder's own records. The first two `args` are a number, low half first."""

    START = 0x80  # a guest starts; more than one where it restarted its machine. The number is 0
    LOST = 0x81  # about here the ring was full; how many records are missing
    END = 0x82  # the guest or the recording ended in order; how many records the ring took


class TraceError(RingError):
    """A trace that cannot be recorded or read."""


@dataclass(frozen=True)
class Header:
    """What is known when recording begins. Times: TSC in cycles, `start_ns` in ns since 1970 (UTC).

    `kinds`: bit TraceKind of each kind that is recorded. `only`, `caller`: the filters, as the user wrote them.
    `stack`: bytes of stack recorded with each operation. `keep`: seconds of a flight recorder, 0 for others.
    `devices`: those of the machine, each with its name and lists of first and last `ports` and `memory` addresses.
    """

    tsc_hz: int
    start_tsc: int
    start_ns: int
    kernel: str = ""
    kernel_crc: int = 0
    guest: str = ""
    kinds: int = 0
    only: str = ""
    caller: str = ""
    stack: int = 0
    keep: float = 0.0
    devices: list[dict[str, Any]] = field(default_factory=list)
    abi_version: int = ABI_VERSION

    def pack(self) -> bytes:
        """The header as it stands in the file."""
        details = {name: value for name, value in asdict(self).items() if name not in _IN_FIXED}
        # ASCII, so a file name of any bytes (surrogates) survives.
        text = json.dumps(details).encode("ascii")
        size = _FIXED.size + len(text)
        fixed = _FIXED.pack(MAGIC, VERSION, self.abi_version, size, TRACE_RECORD_SIZE, self.tsc_hz, self.start_tsc,
                            self.start_ns, zlib.crc32(text), 0)  # fmt: skip
        return fixed + text


_IN_FIXED = ("tsc_hz", "start_tsc", "start_ns", "abi_version")


def header_size(data: bytes) -> int:
    """How long the header is that `data`, the first bytes of a file, begins with."""
    if len(data) < _FIXED.size:
        return _FIXED.size
    return max(_FIXED.size, min(int(_FIXED.unpack_from(data)[3]), _LONGEST_DETAILS))


def unpack_header(data: bytes, name: str) -> Header:
    """The header in `data`, a file's first bytes. TraceError names the file `name`."""
    if not data:
        raise TraceError(f"{name} is empty: its recording ended before it began; record again")
    if not data.startswith(MAGIC[: len(data)]):
        raise TraceError(f"{name} is not a trace; record one with 'ring3 run KERNEL --trace FILE'")
    if len(data) < _FIXED.size:
        raise TraceError(f"{name} ends within its header; record again")
    _, version, abi, size, record_size, tsc_hz, start_tsc, start_ns, crc, _ = _FIXED.unpack_from(data)
    if version > VERSION or abi > ABI_VERSION:
        raise TraceError(f"{name} was written by a newer ring3 (format {version}, hypercall ABI {abi}); upgrade ring3")
    if 0 < version < VERSION:
        raise TraceError(f"{name} was written by an older ring3 (format {version}), and this one reads {VERSION}; "
                         "record again")
    if version != VERSION or record_size != TRACE_RECORD_SIZE or not tsc_hz or size < _FIXED.size:
        raise TraceError(f"{name} has a damaged header; record again")
    text = data[_FIXED.size : size]
    if len(data) < size:
        raise TraceError(f"{name} ends within its header; record again")
    try:
        if zlib.crc32(text) != crc:
            raise ValueError
        details = json.loads(text)
        known = {found.name for found in fields(Header)}
        return Header(tsc_hz, start_tsc, start_ns, abi_version=abi,
                      **{name: value for name, value in details.items() if name in known})
    except (ValueError, TypeError, AttributeError):
        raise TraceError(f"{name} has a damaged header; record again") from None


def mark(kind: Mark, tsc: int, number: int) -> bytes:
    """One record of the recorder's own."""
    halves = (number & 0xFFFF_FFFF, number >> 32 & 0xFFFF_FFFF, 0, 0, 0)
    return bytes(TRACE.ctype(tsc=tsc, kind=kind, args=halves))


KIND_NAMES: dict[int, str] = {kind.value: kind.name.lower() for kind in TraceKind}
ALL_KINDS = frozenset(TraceKind)
