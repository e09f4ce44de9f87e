"""The trace file: a header, then 64-byte records (docs/trace-format.md).

Most records are the monitor's, as they lay in its ring (hypercalls.structs.TRACE). Between them the recorder
puts marks of its own, of kinds that the monitor does not use.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from enum import IntEnum

from hypercalls import ABI_VERSION
from hypercalls.layout import TRACE_RECORD_SIZE
from hypercalls.structs import TRACE, TraceKind
from hypervisor.errors import RingError

MAGIC = b"R3TRACE\0"
VERSION = 1
_FIXED = struct.Struct("<8sIIIIQQQIIII")


class Mark(IntEnum):
    """Kinds of the recorder's own records. The first two `args` are a number, low half first."""

    START = 0x80  # a guest starts; more than one where it restarted its machine. The number is 0
    LOST = 0x81  # about here the ring was full; how many records are missing
    END = 0x82  # the guest and its recording ended in order; how many records the ring took


class TraceError(RingError):
    """A trace that cannot be recorded or read."""


@dataclass(frozen=True)
class Header:
    """What is known when recording begins. Times: TSC in cycles, `start_ns` in ns since 1970 (UTC)."""

    tsc_hz: int
    start_tsc: int
    start_ns: int
    kinds: int
    kernel: str
    kernel_crc: int
    abi_version: int = ABI_VERSION

    def pack(self) -> bytes:
        """The header as it stands in the file, a whole number of records long."""
        path = os.fsencode(self.kernel)
        size = -(-(_FIXED.size + len(path)) // TRACE_RECORD_SIZE) * TRACE_RECORD_SIZE
        fixed = _FIXED.pack(MAGIC, VERSION, self.abi_version, size, TRACE_RECORD_SIZE, self.tsc_hz, self.start_tsc,
                            self.start_ns, self.kinds, self.kernel_crc, len(path), 0)  # fmt: skip
        return (fixed + path).ljust(size, b"\0")


def unpack_header(data: bytes, name: str) -> tuple[Header, int]:
    """The header at the start of `data`, a file's first bytes, and its size. TraceError names the file `name`."""
    if not data:
        raise TraceError(f"{name} is empty: its recording ended before it began; record again")
    if not data.startswith(MAGIC[: len(data)]):
        raise TraceError(f"{name} is not a trace; record one with 'ring3 run KERNEL --trace FILE'")
    if len(data) < _FIXED.size:
        raise TraceError(f"{name} ends within its header; record again")
    _, version, abi, size, record_size, tsc_hz, start_tsc, start_ns, kinds, crc, path_size, _ = _FIXED.unpack_from(data)
    if version > VERSION or abi > ABI_VERSION:
        raise TraceError(f"{name} was written by a newer ring3 (format {version}, hypercall ABI {abi}); upgrade ring3")
    if version != VERSION or record_size != TRACE_RECORD_SIZE or not tsc_hz or size < _FIXED.size + path_size:
        raise TraceError(f"{name} has a damaged header; record again")
    if len(data) < size:
        raise TraceError(f"{name} ends within its header; record again")
    path = os.fsdecode(data[_FIXED.size : _FIXED.size + path_size])
    return Header(tsc_hz, start_tsc, start_ns, kinds, path, crc, abi), size


def mark(kind: Mark, tsc: int, number: int) -> bytes:
    """One record of the recorder's own."""
    halves = (number & 0xFFFF_FFFF, number >> 32 & 0xFFFF_FFFF, 0, 0, 0)
    return bytes(TRACE.ctype(tsc=tsc, kind=kind, args=halves))


KIND_NAMES: dict[int, str] = {kind.value: kind.name.lower() for kind in TraceKind}
ALL_KINDS = frozenset(TraceKind)


def parse_kinds(text: str) -> frozenset[TraceKind]:
    """Kinds by their names, separated by commas. TraceError for a name that there is not."""
    by_name = {name: TraceKind(kind) for kind, name in KIND_NAMES.items()}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in by_name:
            raise TraceError(f"'{name}' is no kind of record; choose from {', '.join(by_name)}")
    if not names:
        raise TraceError(f"no kind of record is named; choose from {', '.join(by_name)}")
    return frozenset(by_name[name] for name in names)
