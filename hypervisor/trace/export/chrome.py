"""The Trace Event Format in its JSON object form: for chrome://tracing, Perfetto's viewer, Speedscope and others.

Source: "Trace Event Format", Google, the document that chrome://tracing links to. Times are in microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypervisor.trace.export.events import Event, Phase, Track, events

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

_TEXTS_KEPT = 1 << 16
_TRACKS = {track: number for number, track in enumerate(Track, 1)}


def text(traces: list[tuple[Trace, str | None]]) -> Iterator[bytes]:
    """The file, some of it at a time; each trace, with what is to be chosen from it, is a process."""
    first = min(trace.header.start_ns for trace, _ in traces)
    yield b'{"displayTimeUnit": "ns", "traceEvents": [\n'
    separator = ""
    for pid, (trace, where) in enumerate(traces, 1):
        lines = list(_metadata(trace, pid))
        writer = _Writer(pid, trace.header.start_ns - first)
        for event in events(trace, where):
            lines += writer.lines(event)
            if len(lines) >= 4096:
                yield (separator + ",\n".join(lines)).encode()
                separator, lines = ",\n", []
        if lines:
            yield (separator + ",\n".join(lines)).encode()
            separator = ",\n"
    yield b"\n]}\n"


def _metadata(trace: Trace, pid: int) -> Iterator[str]:
    name = trace.header.guest or f"guest {pid}"
    yield json.dumps({"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "ts": 0, "args": {"name": name}})
    for track, tid in _TRACKS.items():
        if track is not Track.RATE:
            named = {"name": track.value}
            yield json.dumps({"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "ts": 0, "args": named})


class _Writer:
    """Lines of one process. What is quoted is kept: texts come again and again."""

    def __init__(self, pid: int, offset_ns: int) -> None:
        self._pid, self._offset = pid, offset_ns
        self._quoted: dict[str, str] = {}

    def _quote(self, text: str) -> str:
        found = self._quoted.get(text)
        if found is None:
            if len(self._quoted) > _TEXTS_KEPT:
                self._quoted.clear()
            found = self._quoted[text] = json.dumps(text)
        return found

    def lines(self, event: Event) -> list[str]:
        """The lines of one event: itself and, where it is at an end of a flow, that."""
        phase, track, ns, name, category, said, caller, value, flow = event
        place = f'"pid":{self._pid},"tid":{_TRACKS[track]},"ts":{(self._offset + ns) / 1000:.3f}'
        if phase is Phase.END:
            return [f'{{"ph":"E",{place}}}']
        if phase is Phase.COUNTER:
            return [f'{{"ph":"C",{place},"name":"{track.value}","args":{{"count":{value}}}}}']
        args = f',"args":{{"record":{self._quote(said)},"caller":{self._quote(caller)}}}' if said else ""
        scope = ',"s":"t"' if phase is Phase.INSTANT else ""  # drawn on its thread
        made = [f'{{"ph":"{phase.value}",{place},"name":{self._quote(name)},"cat":"{category}"{scope}{args}}}']
        if flow:
            # From the interrupt to the handler that it leads to; a flow's end binds to the slice that encloses it.
            end = '"ph":"s"' if track is Track.CPU else '"ph":"f","bp":"e"'
            made.append(f'{{{end},{place},"name":"interrupt","cat":"flow","id":{self._pid << 48 | flow}}}')
        return made
