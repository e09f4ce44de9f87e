"""Trace files made record by record, so that each can be wrong in one way."""

from __future__ import annotations

from pathlib import Path

from hypercalls.layout import TRACE_RECORD_SIZE
from hypercalls.structs import TRACE, TraceKind
from hypervisor.trace.chunks import Packer
from hypervisor.trace.format import CHUNK_RECORDS, Header, Mark, mark

HZ = 1_000_000_000
"""One cycle is one nanosecond, so that what is expected can be written as it is."""
START = 5_000
HEADER = Header(HZ, START, 1_700_000_000_000_000_000, "/no/such/kernel.elf", 0, "guest", 0x3FE, devices=[
    {"name": "serial", "ports": [[0x3F8, 0x3FF]], "memory": []},
    {"name": "local APIC", "ports": [], "memory": [[0xFEE0_0000, 0xFEE0_0FFF]]},
])
BEGIN = mark(Mark.START, START, 0)


def record(kind: TraceKind = TraceKind.HYPERCALL, number: int = 70, after: int = 0, **fields: object) -> bytes:
    """One record, `after` cycles into the recording."""
    return bytes(TRACE.ctype(tsc=START + after, kind=kind, number=number, **fields))


def numbered(*records: bytes, first: int = 1) -> bytes:
    """The records with sequence numbers as the monitor gives them."""
    found = []
    for sequence, data in enumerate(records, first):
        image = TRACE.ctype.from_buffer_copy(data)
        image.sequence = sequence
        found.append(bytes(image))
    return b"".join(found)


def end(after: int, taken: int) -> bytes:
    """The end mark of a recording in which the ring took so many records."""
    return mark(Mark.END, START + after, taken)


def chunks(*parts: bytes) -> bytes:
    """Records as they stand in a file: each of `parts` begins a chunk."""
    packer, most = Packer(), CHUNK_RECORDS * TRACE_RECORD_SIZE
    return b"".join(packer.pack(part[at : at + most]) for part in parts for at in range(0, len(part), most))


def write(folder: Path, *parts: bytes, header: Header = HEADER, name: str = "trace") -> Path:
    """A trace file in `folder`; each of `parts`, which are records, begins a chunk."""
    path = folder / name
    path.write_bytes(header.pack() + chunks(*parts))
    return path
