"""Reading a trace file: as typed records, one at a time, or as columns for figures over millions of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import TRACE, TraceKind
from hypervisor.trace.format import Header, Mark, TraceError, unpack_header

UNFINISHED = 0
"""`sequence` of a hypercall or exit that was in progress when the guest ended."""
LATENCY_MAX = 0xFFFF_FFFF
"""`latency` of what took that many cycles or more."""

_HEADER_MOST = 1 << 16  # bytes: a path is much shorter
_BATCH = 1 << 14  # records turned into Python objects at once
_DTYPE = np.dtype(TRACE.ctype)


class Record(NamedTuple):
    """One record, its fields as in hypercalls.structs.TRACE."""

    tsc: int
    kind: int
    cpl: int
    number: int
    in_memory: int
    eip: int
    cr3: int
    esp: int
    args: tuple[int, ...]
    result: int
    latency: int
    sequence: int
    operand: tuple[int, int]


class Trace:
    """A trace that was opened by `open_trace`. Iteration gives its records in the order in which they began.

    `lost`: records that found the ring full. `damaged`: records that make no sense and are left out, and places
    where some are missing. `boots`: starts of the guest. `complete`: the recording came to its end in order.
    """

    def __init__(self, path: Path, header: Header, raw: NDArray[Any], cut: int) -> None:
        self.path, self.header, self.cut = path, header, cut
        kinds = np.ascontiguousarray(raw["kind"])
        sane = np.isin(kinds, [kind.value for kind in TraceKind])
        marks = raw[kinds >= Mark.START]
        self._raw = raw if sane.all() else raw[sane]
        numbers = marks["args"][:, 0] + (marks["args"][:, 1].astype(np.uint64) << np.uint64(32))
        self.lost = int(numbers[marks["kind"] == Mark.LOST].sum())
        self.boots = int((marks["kind"] == Mark.START).sum())
        self.complete = self.boots > 0 and self.boots == int((marks["kind"] == Mark.END).sum())
        known = np.isin(marks["kind"], [mark.value for mark in Mark])
        self.damaged = int(len(raw) - len(self._raw) - known.sum()) + self._gaps()
        self._last_tsc = max((int(part["tsc"].max()) for part in (self._raw, marks[known]) if len(part)),
                             default=header.start_tsc)  # fmt: skip

    def _gaps(self) -> int:
        """Places where sequence numbers do not follow each other, other than the starts of the guest."""
        sequence = self.column("sequence")
        sequence = sequence[sequence != UNFINISHED]
        starts = int((sequence == 1).sum())
        return max(int((np.diff(sequence) != 1).sum()) + int(len(sequence) > 0) - starts, 0)

    def __len__(self) -> int:
        return len(self._raw)

    def __iter__(self) -> Iterator[Record]:
        return self.records(self.ordered())

    def column(self, field: str) -> NDArray[Any]:
        """One field of all records, in the order of the file: that in which things ended."""
        return np.ascontiguousarray(self._raw[field])

    def ordered(self, where: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
        """Indices of the records for which `where` holds (all, without it), in the order in which they began."""
        chosen = np.arange(len(self)) if where is None else np.flatnonzero(where)
        return chosen[np.argsort(self._raw["tsc"][chosen], kind="stable")]

    def records(self, indices: NDArray[np.intp]) -> Iterator[Record]:
        """The records at `indices`, in that order."""
        for first in range(0, len(indices), _BATCH):
            batch = self._raw[indices[first : first + _BATCH]].tobytes()
            for fields in TRACE.packer.iter_unpack(batch):
                yield Record._make((*fields[:8], fields[8:13], *fields[13:16], fields[16:18]))

    @property
    def seconds(self) -> float:
        """How long was recorded."""
        return self.time(self._last_tsc)

    def time(self, tsc: int) -> float:
        """Seconds from the start of the recording to `tsc`."""
        return (tsc - self.header.start_tsc) / self.header.tsc_hz

    def nanoseconds(self, cycles: float) -> float:
        """How long `cycles` of the TSC are."""
        return cycles * 1e9 / self.header.tsc_hz

    def notices(self) -> list[str]:
        """What the reader of figures from this trace should know, a sentence each."""
        found = []
        if self.lost:
            found.append(f"{self.lost:,} records were lost because they came faster than they could be written")
        if self.damaged:
            found.append(f"{self.damaged:,} places are damaged and left out")
        if not self.complete or self.cut:
            found.append("the recording was cut off; its last records are missing")
        return found


def open_trace(path: Path) -> Trace:
    """Open a trace file. Raises TraceError where nothing in it can be read; what can be read, is."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise TraceError(f"{path} is no regular file; name a trace that 'ring3 run --trace' has written")
            header, size = unpack_header(file.read(_HEADER_MOST), str(path))
            count, cut = divmod(status.st_size - size, _DTYPE.itemsize)
            # Mapped, not read: a trace may be larger than memory. (An empty map is not possible.)
            raw = np.memmap(file, _DTYPE, "r", size, (count,)) if count else np.empty(0, _DTYPE)
    except OSError as error:
        raise TraceError(f"trace {path} cannot be read ({error.strerror}); record one with "
                         "'ring3 run KERNEL --trace FILE'") from error  # fmt: skip
    return Trace(path, header, raw, cut)
