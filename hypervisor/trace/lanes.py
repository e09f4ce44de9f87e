"""When what was asked for, on the terminal: a lane for each kind, hypercall, device... the fuller, the more of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from hypercalls.structs import TraceKind
from hypervisor.terminal import duration
from hypervisor.trace.format import KIND_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from hypervisor.trace.chunks import Records
    from hypervisor.trace.reader import Trace

_BLOCKS, _PLAIN = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588", " .:-=+*#@"
_NAME = 22  # columns of a lane's name


@dataclass(frozen=True)
class Lane:
    """How many records of one sort there are in each column of time."""

    name: str
    counts: list[int]

    @property
    def total(self) -> int:
        """In all columns."""
        return sum(self.counts)


def _calls(trace: Trace, records: Records) -> list[str]:
    columns = trace.columns(records)
    return columns.texts("call")


_SORTS: Mapping[str, Callable[[Trace, Any], list[str]]] = {
    "kind": lambda trace, records: [KIND_NAMES[kind] for kind in records["kind"].tolist()],
    "hypercall": _calls,
    "device": lambda trace, records: trace.columns(records).texts("device"),
    "caller": lambda trace, records: trace.columns(records).texts("caller"),
    "process": lambda trace, records: [f"CR3 {cr3:#010x}" for cr3 in records["cr3"].tolist()],
}


def count(trace: Trace, where: str | None, by: str, first: float, last: float, width: int) -> list[Lane]:
    """Lanes of the records from `first` to `last` (seconds) for which `where` holds, the fullest first."""
    found: dict[str, Any] = {}
    for records in trace.batches(where):
        times = trace.columns(records).time
        place = np.floor((times - first) / (last - first) * width).astype(np.int64)
        inside = (place >= 0) & (place < width) & (records["kind"] != TraceKind.STACK)
        sorts = np.array(_SORTS[by](trace, records), dtype=object)[inside].astype(str)
        names, at = np.unique(sorts, return_inverse=True)
        cells = np.bincount(at.ravel() * width + place[inside], minlength=len(names) * width).reshape(-1, width)
        for name, row in zip(names.tolist(), cells, strict=False):
            if name:
                found[name] = found.get(name, 0) + row
    lanes = [Lane(name, row.tolist()) for name, row in found.items()]
    return sorted(lanes, key=lambda lane: (-lane.total, lane.name))


def draw(console: Console, lanes: list[Lane], first: float, last: float) -> None:
    """Print lanes: blocks on a terminal, plain characters elsewhere. Heights are logarithms of the counts."""
    blocks = _BLOCKS if console.is_terminal else _PLAIN
    width = len(lanes[0].counts) if lanes else 0
    most = math.log1p(max((max(lane.counts) for lane in lanes), default=0)) or 1.0
    for index, lane in enumerate(lanes):
        marks = "".join(blocks[math.ceil(math.log1p(one) / most * (len(blocks) - 1))] for one in lane.counts)
        name = lane.name if len(lane.name) <= _NAME else lane.name[: _NAME - 1] + "~"
        line = Text.assemble(f"{name:<{_NAME}} ", (marks, f"color({index % 6 + 1})"), f" {lane.total:>12,}")
        console.print(line, no_wrap=True, crop=False, overflow="ignore", soft_wrap=True)
    begin, end = (f"{time:.6g} s" for time in (first, last))
    console.print(Text(f"{'':<{_NAME}} {begin}{end:>{max(1, width - len(begin))}}"), no_wrap=True, soft_wrap=True)
    column = duration((last - first) / width * 1e9) if width else ""
    fullest = max((max(lane.counts) for lane in lanes), default=0)
    console.print(Text(f"a column is {column}; the fullest has {fullest:,}"))
