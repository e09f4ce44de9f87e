"""What the page shows: counts and latencies over time, records, a flame graph, tables."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import TraceKind
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.present import summary_as_json
from hypervisor.trace.summary import Summary
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED, Decoder
from hypervisor.trace.tree import Node, folded, tree

if TYPE_CHECKING:
    from hypervisor.trace.chunks import Records
    from hypervisor.trace.reader import Trace

RECORDS_MOST = 1_000_000  # shown one by one; of more, every second or third...
BINS = 4096  # of the whole time, for pictures of more records than can be told apart
HEAT_TIMES, HEAT_STEPS, HEAT_LATENCIES = 240, 2, 64  # columns; steps for each power of two ns; rows
_HEAT_NAMES = 12  # hypercalls that have a map of their own
_LEAST_SHARE = 0.0005  # of a flame graph's whole that is shown
_DEEPEST = 64
_LANES = tuple(KIND_NAMES[kind] for kind in TraceKind if kind is not TraceKind.STACK)
_LANE_OF = np.zeros(256, np.uint8)
for _index, _kind in enumerate(kind for kind in TraceKind if kind is not TraceKind.STACK):
    _LANE_OF[_kind] = _index


class _Records:
    """Columns of the records that are shown one by one."""

    def __init__(self, stride: int) -> None:
        self._stride, self._seen = stride, 0
        self._names: dict[str, int] = {}
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(
        self, ns: NDArray[np.int64], lengths: NDArray[np.int64], lanes: NDArray[np.uint8], texts: list[str]
    ) -> None:
        """Take those of some records that are to be shown."""
        first = -self._seen % self._stride
        self._seen += len(ns)
        chosen = slice(first, None, self._stride)
        names = [self._names.setdefault(text, len(self._names)) for text in texts[chosen]]
        self._parts.append((ns[chosen], np.minimum(lengths[chosen], 0xFFFF_FFFF).astype("<u4"), lanes[chosen],
                            np.array(names, "<u4")))  # fmt: skip

    def packed(self) -> dict[str, Any]:
        """Times as differences in ns, durations in ns, lanes and names, compressed; the names themselves."""
        if not self._parts:
            self._parts.append((np.zeros(0, np.int64), np.zeros(0, "<u4"), np.zeros(0, np.uint8), np.zeros(0, "<u4")))
        ns, lengths, lanes, names = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        steps = np.clip(np.diff(ns, prepend=0), 0, None).astype("<f8")
        return {
            "count": len(ns), "stride": self._stride, "names": list(self._names), "steps": _packed(steps),
            "lengths": _packed(lengths), "lanes": _packed(lanes), "what": _packed(names),
        }  # fmt: skip


def _packed(column: NDArray[Any]) -> str:
    return base64.b64encode(gzip.compress(column.tobytes(), 6, mtime=0)).decode()


class _Heat:
    """How many operations of each name took how long, over time."""

    def __init__(self, ns: int) -> None:
        self._ns = max(ns, 1)
        self._maps: dict[str, NDArray[np.int64]] = {}

    def add(self, name: str, ns: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        """Count operations that have a latency."""
        known = lengths > 0
        if not known.any():
            return
        columns = np.clip(ns[known] * HEAT_TIMES // self._ns, 0, HEAT_TIMES - 1)
        rows = np.clip((np.log2(lengths[known]) * HEAT_STEPS).astype(np.int64), 0, HEAT_LATENCIES - 1)
        counts = np.bincount(rows * HEAT_TIMES + columns, minlength=HEAT_TIMES * HEAT_LATENCIES)
        self._maps[name] = self._maps.get(name, np.zeros(HEAT_TIMES * HEAT_LATENCIES, np.int64)) + counts

    def most(self) -> dict[str, list[list[int]]]:
        """The fullest maps, each as [cell, count] pairs."""
        chosen = sorted(self._maps, key=lambda name: (name != "all", -int(self._maps[name].sum()), name))
        found = {}
        for name in chosen[: _HEAT_NAMES + 1]:
            cells = np.flatnonzero(self._maps[name])
            found[name] = [[int(cell), int(self._maps[name][cell])] for cell in cells]
        return found


def page_data(trace: Trace, where: str | None, title: str) -> dict[str, Any]:
    """All that the page is made of, as JSON values."""
    scale = 1e9 / trace.header.tsc_hz
    begin = trace.header.start_tsc
    total = max(1, round(trace.seconds * 1e9))
    if trace.header.keep:
        begin = min((chunk.first_tsc for chunk in trace.chunks), default=begin)
    stride = -(-trace.condition.records // RECORDS_MOST) or 1
    records, heat, decoder = _Records(stride), _Heat(total), Decoder(trace)
    bins = np.zeros((len(_LANES), BINS), np.int64)
    summary = Summary(trace)
    for batch in trace.ordered(where):
        summary.add(batch)
        ns = ((batch["tsc"].astype(np.int64) - begin) * scale).astype(np.int64)
        lengths = (batch["latency"] * scale).astype(np.int64)
        lengths[(batch["sequence"] == UNFINISHED) | (batch["latency"] == LATENCY_MAX)] = 0
        lanes = _LANE_OF[batch["kind"]]
        place = np.clip(ns * BINS // total, 0, BINS - 1)
        bins += np.bincount(lanes.astype(np.int64) * BINS + place, minlength=bins.size).reshape(bins.shape)
        records.add(ns, lengths, lanes, decoder.summaries(batch))
        _add_heat(heat, batch, ns, lengths, decoder)
    return {
        "title": title,
        "heading": {"kernel": trace.header.kernel, "guest": trace.header.guest, "start": trace.header.start_ns / 1e6,
                    "seconds": total / 1e9, "records": trace.condition.records, "lost": trace.condition.lost,
                    "shown": summary.count, "where": where or "", "only": trace.header.only,
                    "caller": trace.header.caller},
        "notices": trace.notices(),
        "lanes": _LANES,
        "bins": [_packed(lane.astype("<u4")) for lane in bins],
        "records": records.packed(),
        "heat": {"times": HEAT_TIMES, "steps": HEAT_STEPS, "rows": HEAT_LATENCIES, "maps": heat.most()},
        "flame": _flame(trace, tree(folded(trace, where), top_down=True)),
        "tables": summary_as_json(trace, summary.tables(), [])["tables"],
    }  # fmt: skip


def _add_heat(heat: _Heat, batch: Records, ns: NDArray[np.int64], lengths: NDArray[np.int64], decoder: Decoder) -> None:
    heat.add("all", ns, lengths)
    for name, where in decoder.calls(batch):
        heat.add(name, ns[where], lengths[where])


def _flame(trace: Trace, root: Node) -> dict[str, Any]:
    """The tree without what is too small to be seen, in counts and ns."""
    least = root.count * _LEAST_SHARE

    def node(found: Node, depth: int) -> dict[str, Any]:
        shown = [child for child in found.sorted() if child.count >= least and depth < _DEEPEST]
        children = [node(child, depth + 1) for child in shown]
        return {"n": found.name, "c": found.count, "t": round(trace.nanoseconds(found.cycles)),
                **({"k": children} if children else {})}  # fmt: skip

    return node(root, 0)
