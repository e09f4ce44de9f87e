"""For Perfetto (https://perfetto.dev): guests as processes, vCPUs as threads, in its protobuf format.

The messages are those of the perfetto package. A serialised message may be written in parts, which the reader merges
(protobuf's encoding, "Last One Wins"), so that only what differs from packet to packet is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from hypervisor.trace.export.events import Event, Phase, Track, events
from hypervisor.trace.format import TraceError

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

_PACKET_TAG = b"\x0a"  # field 1 of Trace, length-delimited
_TIMESTAMP_TAG = b"\x40"  # field 8 of TracePacket, varint
_TRACKS_OF_A_GUEST = 16
_NAMES_KEPT = 1 << 16


def packets(traces: list[tuple[Trace, str | None]]) -> Iterator[bytes]:
    """The file, some of it at a time; each trace, with what is to be chosen from it, is a process.

    TraceError where the perfetto package is missing.
    """
    protos = _protos()
    first = min(trace.header.start_ns for trace, _ in traces)
    for number, (trace, where) in enumerate(traces, 1):
        guest = _Guest(protos, trace, number, trace.header.start_ns - first)
        yield b"".join(guest.descriptors())
        waiting: list[bytes] = []
        for event in events(trace, where):
            waiting.append(guest.packet(event))
            if len(waiting) >= 4096:
                yield b"".join(waiting)
                waiting = []
        yield b"".join(waiting)


def _protos() -> Any:
    try:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2
    except ImportError:
        raise TraceError("the perfetto package is not installed; pip install perfetto") from None
    return perfetto_trace_pb2


class _Guest:
    """Packets of one guest. Names are spelled out where they first come, and numbered from then on."""

    def __init__(self, protos: Any, trace: Trace, number: int, offset_ns: int) -> None:
        self._protos, self._trace, self._number, self._offset = protos, trace, number, offset_ns
        self._types = {
            Phase.BEGIN: protos.TrackEvent.TYPE_SLICE_BEGIN, Phase.END: protos.TrackEvent.TYPE_SLICE_END,
            Phase.INSTANT: protos.TrackEvent.TYPE_INSTANT, Phase.COUNTER: protos.TrackEvent.TYPE_COUNTER,
        }  # fmt: skip
        self._fixed = cache(self._make_fixed)
        self._texts: dict[tuple[str, str], bytes] = {}

    def _uuid(self, track: Track) -> int:
        return self._number * _TRACKS_OF_A_GUEST + list(Track).index(track) + 1

    def descriptors(self) -> Iterator[bytes]:
        """The process, its thread, and the other tracks."""
        name = self._trace.header.guest or f"guest {self._number}"
        process = self._protos.TracePacket()
        process.trusted_packet_sequence_id = self._number
        process.track_descriptor.uuid = self._number * _TRACKS_OF_A_GUEST
        process.track_descriptor.process.pid = self._number
        process.track_descriptor.process.process_name = name
        yield _packet(process.SerializeToString())
        for track in Track:
            packet = self._protos.TracePacket()
            packet.trusted_packet_sequence_id = self._number
            descriptor = packet.track_descriptor
            descriptor.uuid = self._uuid(track)
            descriptor.parent_uuid = self._number * _TRACKS_OF_A_GUEST
            descriptor.name = track.value
            if track is Track.CPU:
                descriptor.thread.pid, descriptor.thread.tid = self._number, self._number
                descriptor.thread.thread_name = track.value
            elif track is Track.RATE:
                descriptor.counter.unit = self._protos.CounterDescriptor.UNIT_COUNT
            yield _packet(packet.SerializeToString())

    def packet(self, event: Event) -> bytes:
        """One event."""
        parts = [_TIMESTAMP_TAG, _varint(self._offset + event.ns), self._fixed(event.phase, event.track, event.name,
                                                                               event.category)]  # fmt: skip
        if event.text:
            parts.append(self._said(event.text, event.caller))
        if event.flow or event.phase is Phase.COUNTER:
            message = self._protos.TracePacket()
            if event.flow:
                flows = message.track_event.flow_ids if event.track is Track.CPU else \
                    message.track_event.terminating_flow_ids
                flows.append(self._number << 48 | event.flow)
            else:
                message.track_event.counter_value = event.value
            parts.append(message.SerializeToString())
        return _packet(b"".join(parts))

    def _make_fixed(self, phase: Phase, track: Track, name: str, category: str) -> bytes:
        """All of a packet but its time and what it says."""
        packet = self._protos.TracePacket()
        packet.trusted_packet_sequence_id = self._number
        packet.track_event.type = self._types[phase]
        packet.track_event.track_uuid = self._uuid(track)
        if phase in (Phase.BEGIN, Phase.INSTANT):
            packet.track_event.name = name
            packet.track_event.categories.append(category)
        return bytes(packet.SerializeToString())

    def _said(self, text: str, caller: str) -> bytes:
        found = self._texts.get((text, caller))
        if found is None:
            message = self._protos.TracePacket()
            for name, value in (("record", text), ("caller", caller)):
                annotation = message.track_event.debug_annotations.add()
                annotation.name, annotation.string_value = name, value
            if len(self._texts) > _NAMES_KEPT:
                self._texts.clear()
            found = self._texts[text, caller] = bytes(message.SerializeToString())
        return found


def _packet(body: bytes) -> bytes:
    return _PACKET_TAG + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    """Protobuf's variable-length number."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
