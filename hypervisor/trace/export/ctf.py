"""The Common Trace Format, version 1.8 (https://diamon.org/ctf/): for babeltrace2, Trace Compass and others.

A folder with the description of the events, `metadata`, and one stream. Each hypercall, exit reason and so on is an
event of its own; the fields are those of the record (hypercalls.structs.TRACE), so that the packets are written as they
lie in memory, and arguments have the contract's names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypercalls import HYPERCALLS
from hypercalls.structs import DeviceAccess, ExitReason, TraceKind
from hypervisor.trace import names
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.shapes import Source, shape

if TYPE_CHECKING:
    from hypervisor.trace.chunks import Records
    from hypervisor.trace.reader import Trace

MAGIC = 0xC1FC1FC1  # of each packet
HEADER = np.dtype([("magic", "<u4"), ("stream_id", "<u4"), ("timestamp_begin", "<u8"), ("timestamp_end", "<u8"),
                   ("content_size", "<u8"), ("packet_size", "<u8"), ("events_discarded", "<u8")])  # fmt: skip
EVENT = np.dtype([
    ("id", "<u4"), ("timestamp", "<u8"), ("latency", "<u4"), ("eip", "<u4"), ("cr3", "<u4"), ("esp", "<u4"),
    ("ring", "u1"), ("nesting", "u1"), ("number", "u1"), ("flags", "u1"), ("args", "<u4", 5),
    ("result", "<u4"), ("operand", "<u4", 2),
])  # fmt: skip
"""An event as it stands in the stream. Latency in cycles of the clock."""

_SOURCES = (Source.EAX, Source.EBX, Source.ECX, Source.EDX, Source.ESI, Source.RESULT, Source.FIRST, Source.SECOND)
_NUMBERS: dict[TraceKind, tuple[int, ...]] = {
    TraceKind.HYPERCALL: tuple(row.number for row in HYPERCALLS),
    TraceKind.EXIT: tuple(reason.value for reason in ExitReason),
    TraceKind.EXCEPTION: tuple(names.EXCEPTIONS),
    TraceKind.DEVICE: tuple(access.value for access in DeviceAccess),
}
"""Kinds of which each number is an event of its own; of the others, the kind is."""


def metadata(trace: Trace) -> str:
    """The description of the stream."""
    header = trace.header
    seconds, rest = divmod(header.start_ns, 1_000_000_000)
    fields = "\n".join(f"\t\t{line}" for line in (
        "integer { size = 32; align = 8; } latency;", "hex32 eip;", "hex32 cr3;", "hex32 esp;",
        "integer { size = 8; align = 8; } ring;", "integer { size = 8; align = 8; } nesting;",
        "integer { size = 8; align = 8; } number;", "integer { size = 8; align = 8; } flags;"))  # fmt: skip
    text = f"""/* CTF 1.8 */
typealias integer {{ size = 32; align = 8; signed = false; base = hex; }} := hex32;
typealias integer {{ size = 32; align = 8; signed = false; }} := uint32_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := uint64_t;
trace {{
	major = 1; minor = 8; byte_order = le;
	packet.header := struct {{ uint32_t magic; uint32_t stream_id; }};
}};
env {{
	hostname = "{_quoted(header.guest)}"; domain = "ring3"; kernel = "{_quoted(header.kernel)}";
	abi_version = {header.abi_version};
}};
clock {{
	name = tsc; freq = {header.tsc_hz}; offset_s = {seconds}; offset = {rest * header.tsc_hz // 1_000_000_000};
	description = "TSC of the host since recording began";
}};
typealias integer {{ size = 64; align = 8; signed = false; map = clock.tsc.value; }} := tsc_t;
stream {{
	id = 0;
	packet.context := struct {{
		tsc_t timestamp_begin; tsc_t timestamp_end; uint64_t content_size; uint64_t packet_size;
		uint64_t events_discarded;
	}};
	event.header := struct {{ uint32_t id; tsc_t timestamp; }};
}};
"""
    for kind in TraceKind:
        for number in _NUMBERS.get(kind, (0,)):
            name = shape(kind, number, 0).name if kind in _NUMBERS else KIND_NAMES[kind]
            text += f'event {{\n\tname = "{KIND_NAMES[kind]}:{_quoted(name)}"; id = {_id(kind, number)}; '
            text += f"stream_id = 0;\n\tfields := struct {{\n{fields}\n{_arguments(kind, number)}\t}};\n}};\n"
    return text


def _id(kind: int, number: int) -> int:
    return kind << 8 | number


def _quoted(text: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() and one not in '"\\' else "?" for one in text)


def _arguments(kind: TraceKind, number: int) -> str:
    """Fields for what arguments can lie in, by the names that they have for this number."""
    known = shape(kind, number, 0) if kind in _NUMBERS else shape(kind, 0, 0)
    given = {slot.source: slot.name for slot in known.slots}
    if known.result:
        given[Source.RESULT] = "result" if known.result.name in given.values() else known.result.name
    lines, used = "", {"latency", "eip", "cr3", "esp", "ring", "nesting", "number", "flags"}
    for source in _SOURCES:
        name = given.get(source, f"_{source.name.lower()}")
        name = name if name not in used else f"_{source.name.lower()}"
        used.add(name)
        lines += f"\t\thex32 _{name};\n" if not name.startswith("_") else f"\t\thex32 _{name[1:]}_raw;\n"
    return lines


def packets(trace: Trace, where: str | None = None) -> Iterator[bytes]:
    """The stream, a packet at a time, in the order in which things began."""
    lost = trace.condition.lost
    for records in trace.ordered(where):
        made = _events(records, trace.header.start_tsc)
        size = (HEADER.itemsize + made.nbytes) * 8
        head = np.zeros((), HEADER)
        head["magic"], head["content_size"], head["packet_size"] = MAGIC, size, size
        head["timestamp_begin"], head["timestamp_end"] = made["timestamp"][0], made["timestamp"][-1]
        head["events_discarded"] = lost
        yield head.tobytes() + made.tobytes()


def _events(records: Records, start_tsc: int) -> NDArray[Any]:
    made = np.zeros(len(records), EVENT)
    for field in ("latency", "eip", "cr3", "esp", "number", "args", "result", "operand"):
        made[field] = records[field]
    made["ring"], made["nesting"], made["flags"] = records["cpl"], records["flags"] >> 4, records["flags"] & 0xF
    # What the recorder started in the middle of may have begun before it.
    made["timestamp"] = np.maximum(records["tsc"].astype(np.int64) - np.int64(start_tsc), 0)
    kinds = records["kind"].astype(np.uint32)
    numbered = np.zeros(256 * 256, bool)
    for kind, numbers in _NUMBERS.items():
        numbered[[_id(kind, number) for number in numbers]] = True
    ids = kinds << 8 | records["number"]
    made["id"] = np.where(numbered[ids], ids, np.where(np.isin(kinds, list(_NUMBERS)), _UNKNOWN, kinds << 8))
    known: NDArray[Any] = made[made["id"] != _UNKNOWN]
    return known


_UNKNOWN = 0xFFFF_FFFF
"""Numbers that the contract does not have, out of a trace that its guest has forged: they have no description."""

