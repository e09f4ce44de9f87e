"""A trace as what timeline viewers draw: slices that nest, events and counters, each on a track, in the order of time.

Tracks of a guest: its vCPU, on which operations are slices; `handlers`, from an interrupt, an exception or a system
call to the iret that ends it; `address space`, which CR3 runs; `rate`, a counter of operations.

Which iret ends what is not recorded, and need not be: as many handlers are left as were entered, so an iret ends the
one that was entered last. Where the kernel switches tasks in between, that may be another task's.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from hypercalls import by_name
from hypercalls.structs import TraceKind
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED, Decoder

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

_SLICES = frozenset({TraceKind.HYPERCALL, TraceKind.EXIT, TraceKind.EMULATED, TraceKind.TLB_FILL, TraceKind.IDLE})
_RETURNS = frozenset(by_name[name].number for name in ("iret", "iret16", "sysexit", "sysret"))
_ENTRIES = frozenset(by_name[name].number for name in ("int", "sysenter", "syscall"))
_RATE_NS = 1_000_000  # between two values of the counter


class Track(Enum):
    """Where something is drawn."""

    CPU = "vCPU 0"
    HANDLERS = "handlers"
    SPACE = "address space"
    RATE = "operations per ms"


class Phase(Enum):
    """What happens on a track; the letters are those of the Trace Event Format."""

    BEGIN = "B"
    END = "E"
    INSTANT = "i"
    COUNTER = "C"


class Event(NamedTuple):
    """`ns`: since the recording began. `text` and `caller` say more of what begins; `value` is a counter's. `flow`: a
    number that the interrupt and the handler that it leads to have in common, 0 for none."""

    phase: Phase
    track: Track
    ns: int
    name: str = ""
    category: str = ""
    text: str = ""
    caller: str = ""
    value: int = 0
    flow: int = 0


class _Tracks:
    """What is open on each track."""

    def __init__(self) -> None:
        self._ends: list[int] = []  # of the slices that are open on the vCPU, the outermost first
        self._handlers: list[str] = []
        self._space: str | None = None
        self._now = self._flow = self._bin = self._in_bin = 0

    def until(self, ns: int) -> Iterator[Event]:
        """End what ends up to `ns`; count."""
        while self._ends and self._ends[-1] <= ns:
            self._now = max(self._now, self._ends.pop())
            yield Event(Phase.END, Track.CPU, self._now)
        self._now = max(self._now, ns)
        if ns // _RATE_NS != self._bin:
            yield Event(Phase.COUNTER, Track.RATE, self._bin * _RATE_NS, value=self._in_bin)
            if ns // _RATE_NS > self._bin + 1 and self._in_bin:
                yield Event(Phase.COUNTER, Track.RATE, (self._bin + 1) * _RATE_NS)
            self._bin, self._in_bin = ns // _RATE_NS, 0
        self._in_bin += 1

    def slice(self, ns: int, length: int, name: str, category: str, text: str, caller: str) -> Event:
        """Something on the vCPU that lasts; it does not outlast what it is in."""
        self._ends.append(min([ns + length, *self._ends[-1:]]))
        return Event(Phase.BEGIN, Track.CPU, ns, name, category, text, caller)

    def enter(self, ns: int, name: str, flow: int = 0) -> Event:
        """A handler begins."""
        self._handlers.append(name)
        return Event(Phase.BEGIN, Track.HANDLERS, ns, name, "handler", flow=flow)

    def leave(self, ns: int) -> Iterator[Event]:
        """The handler that was entered last ends, where one was since the recording began."""
        if self._handlers:
            self._handlers.pop()
            yield Event(Phase.END, Track.HANDLERS, ns)

    def run(self, ns: int, cr3: int) -> Iterator[Event]:
        """An address space runs."""
        name = f"CR3 {cr3:#010x}"
        if name != self._space:
            if self._space is not None:
                yield Event(Phase.END, Track.SPACE, ns)
            self._space = name
            yield Event(Phase.BEGIN, Track.SPACE, ns, name, "address space")

    def next_flow(self) -> int:
        """A number for a flow."""
        self._flow += 1
        return self._flow

    def close(self) -> Iterator[Event]:
        """End all that is open."""
        last = max([self._now, *self._ends[:1]])
        yield from self.until(last)
        yield from (Event(Phase.END, Track.HANDLERS, last) for _ in self._handlers)
        if self._space is not None:
            yield Event(Phase.END, Track.SPACE, last)


def events(trace: Trace, where: str | None = None) -> Iterator[Event]:
    """The records for which `where` holds as events; on each track time never goes back, and what begins ends."""
    decoder, tracks = Decoder(trace), _Tracks()
    scale = 1e9 / trace.header.tsc_hz
    for records in trace.ordered(where):
        starts = ((records["tsc"].astype("i8") - trace.header.start_tsc) * scale).astype("i8").tolist()
        lengths = (records["latency"] * scale).astype("i8")
        lengths[(records["sequence"] == UNFINISHED) | (records["latency"] == LATENCY_MAX)] = 0
        texts, callers = decoder.texts(records), decoder.callers(records)
        rows = zip(records["kind"].tolist(), records["number"].tolist(), starts, lengths.tolist(), texts, callers,
                   records["cr3"].tolist(), strict=True)  # fmt: skip
        for kind, number, ns, length, text, caller, cr3 in rows:
            yield from tracks.until(ns)
            yield from tracks.run(ns, cr3)
            name, category = text.partition("(")[0], KIND_NAMES[kind]
            if kind in _SLICES:
                yield tracks.slice(ns, length, name, category, text, caller)
            flow = tracks.next_flow() if kind == TraceKind.INTERRUPT else 0
            if kind not in _SLICES:
                yield Event(Phase.INSTANT, Track.CPU, ns, name, category, text, caller, flow=flow)
            if kind in (TraceKind.INTERRUPT, TraceKind.EXCEPTION):
                yield tracks.enter(ns, name, flow)
            elif kind == TraceKind.HYPERCALL and number in _ENTRIES:
                yield tracks.enter(ns, text.partition(" = ")[0])
            elif kind == TraceKind.HYPERCALL and number in _RETURNS:
                yield from tracks.leave(ns)
    yield from tracks.close()
