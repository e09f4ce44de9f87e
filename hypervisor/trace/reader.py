"""Reading a trace file: as columns for figures over millions of records, or as typed records, one at a time.

A file may be larger than memory: it is mapped, and unpacked a chunk at a time.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hypercalls.structs import TRACE, TraceFlag, TraceKind
from hypervisor.trace import format
from hypervisor.trace.callers import Callers
from hypervisor.trace.chunks import RECORD, Chunk, ChunkFile, Records, joined, taken
from hypervisor.trace.columns import Columns
from hypervisor.trace.devices import Devices
from hypervisor.trace.format import Header, Mark, TraceError, unpack_header

if TYPE_CHECKING:
    import pandas

    from hypervisor.trace.expression import Node

UNFINISHED = 0
"""`sequence` of a hypercall or exit that was in progress when the guest ended."""
LATENCY_MAX = 0xFFFF_FFFF
"""`latency` of what took that many cycles or more."""

_KINDS = np.zeros(256, bool)
_KINDS[[kind.value for kind in TraceKind]] = True
_MARKS = np.zeros(256, bool)
_MARKS[[mark.value for mark in Mark]] = True
_UNPACK = TRACE.packer.iter_unpack


class Record(NamedTuple):
    """One record, its fields as in hypercalls.structs.TRACE."""

    tsc: int
    kind: int
    cpl: int
    number: int
    flags: int
    sequence: int
    eip: int
    cr3: int
    esp: int
    args: tuple[int, ...]
    result: int
    latency: int
    operand: tuple[int, int]

    @property
    def in_memory(self) -> bool:
        """Whether operand[0] is the address of a hypercall's operand, not its value."""
        return bool(self.flags & TraceFlag.IN_MEMORY)

    @property
    def nesting(self) -> int:
        """In how many other operations it happened."""
        return self.flags >> 4


class Condition(NamedTuple):
    """How much of a file could be read.

    `lost`: records that found the ring full. `damaged`: places that make no sense, or where records are missing.
    `boots`: starts of the guest. `complete`: the recording came to its end in order.
    """

    records: int
    lost: int
    damaged: int
    boots: int
    complete: bool
    last_tsc: int


class Trace:
    """A trace that was opened by `open_trace`. Iteration gives its records in the order in which they began.

    `symbols`: an ELF file to take the names of callers from, instead of the kernel that was recorded (TraceError
    where that has none).
    """

    def __init__(self, path: Path, header: Header, chunks: ChunkFile, symbols: Path | None) -> None:
        self.path, self.header = path, header
        self._file = chunks
        self.callers = Callers(header, symbols)
        self.devices = Devices(header.devices)
        self._condition: Condition | None = None

    # --- what is in it ----------------------------------------------------------------------------------

    @property
    def condition(self) -> Condition:
        """How much could be read. The first time that is asked, all of the file is read."""
        if self._condition is None:
            for _ in self._checked():
                pass
        assert self._condition
        return self._condition

    def __len__(self) -> int:
        return self.condition.records

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks of the file."""
        return self._file.chunks

    @property
    def seconds(self) -> float:
        """How long was recorded."""
        chunks = self._file.chunks
        if not chunks:
            return 0.0
        first = min(chunk.first_tsc for chunk in chunks) if self.header.keep else self.header.start_tsc
        return self.time(max(chunk.last_tsc for chunk in chunks)) - self.time(first)

    def time(self, tsc: int) -> float:
        """Seconds from the start of the recording to `tsc`."""
        return (tsc - self.header.start_tsc) / self.header.tsc_hz

    def nanoseconds(self, cycles: float) -> float:
        """How long `cycles` of the TSC are."""
        return cycles * 1e9 / self.header.tsc_hz

    def notices(self) -> list[str]:
        """What the reader of figures from this trace should know, a sentence each."""
        found = []
        condition = self.condition
        if condition.lost:
            found.append(f"{condition.lost:,} records were lost because they came faster than they could be written")
        if condition.damaged:
            found.append(f"{condition.damaged:,} places are damaged and left out")
        if not condition.complete:
            found.append("the recording was cut off; its last records are missing")
        return found + ([self.callers.notice] if self.callers.notice else [])

    # --- many at once -----------------------------------------------------------------------------------

    def _checked(self) -> Iterator[Records]:
        """What can be read of each chunk. Who has come to the end knows the condition, too."""
        check = _Check(self)
        for chunk in self._file.chunks:
            records = self._file.records(chunk)
            check.look(records)
            if records is not None:
                yield records
        check.finish()

    def batches(self, where: Node | str | None = None, stacks: bool = False) -> Iterator[Records]:
        """All records for which `where` holds, in the order of the file, that in which things ended.

        Stacks are left out unless they are asked for. Some thousand records at a time; their bytes are shared and not
        to be changed. TraceError for an expression that makes no sense.
        """
        node = _node(where)
        for records in _joined(self._checked()):
            yield from self._chosen(records, node, stacks)

    def ordered(self, where: Node | str | None = None, stacks: bool = False) -> Iterator[Records]:
        """As `batches`, in the order in which things began. A stack comes before the record that it belongs to."""
        node, check = _node(where), _Check(self)
        for records in _joined(_in_order(self._file, check.look)):
            yield from self._chosen(taken(records, np.argsort(records["tsc"], kind="stable")), node, stacks)
        check.finish()

    def _chosen(self, records: Records, where: Node | None, stacks: bool) -> Iterator[Records]:
        kinds = records["kind"]
        sane = _KINDS[kinds] if stacks else _KINDS[kinds] & (kinds != TraceKind.STACK)
        found = records if sane.all() else taken(records, sane)
        if where is not None and len(found):
            found = taken(found, where.mask(self.columns(found)))
        if len(found):
            yield found

    def columns(self, records: Records) -> Columns:
        """The fields of `records` that expressions know: ports, values, latencies in ns..."""
        return Columns(records, self.header.tsc_hz, self.header.start_tsc, self.callers.symbol, self.devices)

    def to_numpy(self, where: Node | str | None = None) -> Records:
        """All records for which `where` holds as one array, 64 bytes each, in the order in which they began."""
        parts = list(self.ordered(where))
        return joined(parts) if parts else np.empty(0, RECORD)

    def to_pandas(self, where: Node | str | None = None) -> pandas.DataFrame:
        """The same as a data frame, decoded as `ring3 trace list` shows it. TraceError where pandas is missing."""
        try:
            import pandas
        except ImportError:
            raise TraceError("pandas is not installed; pip install pandas") from None
        from hypervisor.trace.table import frame_columns

        return pandas.concat([pandas.DataFrame(frame_columns(self, part)) for part in self.ordered(where)] or
                             [pandas.DataFrame()], ignore_index=True)  # fmt: skip

    # --- one at a time ----------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    def records(self, where: Node | str | None = None, limit: int | None = None) -> Iterator[Record]:
        """Typed records for which `where` holds, at most `limit`, in the order in which they began."""
        return islice((record for part in self.ordered(where) for record in typed(part)), limit)


def _node(where: Node | str | None) -> Node | None:
    if not isinstance(where, str):
        return where
    from hypervisor.trace.grammar import parse  # which takes as long to import as to read 50,000 records

    return parse(where)


def typed(records: Records) -> Iterator[Record]:
    """The records of an array, one at a time."""
    for fields in _UNPACK(records.tobytes()):
        yield Record._make((*fields[:9], fields[9:14], *fields[14:16], fields[16:18]))


class _Check:
    """Looks at all that is unpacked, and tells the trace its condition in the end."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._records = self._lost = self._boots = self._ends = 0
        self._damaged = trace._file.damaged
        self._sequence: int | None = None

    def look(self, records: Records | None) -> None:
        """The next chunk's records, None where they cannot be read."""
        if records is None:
            self._damaged += 1
            self._sequence = None
            return
        kinds = records["kind"]
        sane = _KINDS[kinds]
        if not sane.all():
            odd = records[~sane]
            for index in np.flatnonzero(~sane).tolist():
                self._mark(records[index])
            self._damaged += int((~_MARKS[odd["kind"]]).sum())
        self._records += int((sane & (kinds != TraceKind.STACK)).sum())
        # A start begins to count anew; what never ended has no number.
        numbers = np.where(kinds == Mark.START, 0, records["sequence"].astype(np.int64))
        counted = numbers[(sane & (numbers != UNFINISHED)) | (kinds == Mark.START)]
        if self._sequence is not None:
            counted = np.concatenate(([self._sequence], counted))
        if len(counted):
            steps = np.diff(counted) & 0xFFFF_FFFF
            self._damaged += int(((steps != 1) & (counted[1:] != 0) & (counted[:-1] != 0)).sum())
            self._sequence = int(counted[-1])

    def finish(self) -> None:
        """All chunks were looked at: tell the trace."""
        chunks = self._trace._file.chunks
        last = max((chunk.last_tsc for chunk in chunks), default=self._trace.header.start_tsc)
        complete = self._boots > 0 and self._ends == self._boots and not self._trace._file.cut
        if self._trace.header.keep:  # what was at the beginning has been forgotten
            complete = self._ends > 0 and not self._trace._file.cut
        self._trace._condition = Condition(self._records, self._lost, self._damaged, max(int(self._boots), 1),
                                           bool(complete), last)  # fmt: skip

    def _mark(self, record: Any) -> None:
        number = int(record["args"][0]) | int(record["args"][1]) << 32
        kind = record["kind"]
        self._lost += number if kind == Mark.LOST else 0
        self._boots += kind == Mark.START
        self._ends += kind == Mark.END


def _joined(parts: Iterable[Records]) -> Iterator[Records]:
    """Small arrays put together: a guest that asks for little leaves many small chunks."""
    waiting: list[Records] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= format.CHUNK_RECORDS:
            yield joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield joined(waiting)


def _in_order(file: ChunkFile, look: Callable[[Records | None], None]) -> Iterator[Records]:
    """All records, so that none of an array began before one of the arrays before it. `look` sees each chunk's once.

    What ends late began early: of each chunk's records, those that began before the chunks before it ended belong to
    an earlier place. They are few, one for each operation that was in progress where the chunks meet, so they are
    looked up in later chunks when that place comes.
    """
    bounds = np.maximum.accumulate([0, *(chunk.last_tsc for chunk in file.chunks)]).tolist()
    late = sorted((chunk.first_tsc, index) for index, chunk in enumerate(file.chunks)
                  if chunk.first_tsc < bounds[index])  # fmt: skip
    early: list[tuple[int, Records]] = []
    for index, chunk in enumerate(file.chunks):
        while late and late[0][0] < bounds[index + 1]:
            other = late.pop(0)[1]
            found = file.records(file.chunks[other])
            if found is not None:
                early.append((other, taken(found, found["tsc"] < bounds[other])))
        records = file.records(chunk)
        look(records)
        here = [] if records is None else [_from(records, bounds[index])]
        rest = []
        for other, part in sorted(early, key=lambda found: found[0]):  # a stack stays in front of what it belongs to
            now = part["tsc"] < bounds[index + 1]
            here.append(taken(part, now))
            if not now.all():
                rest.append((other, taken(part, ~now)))
        early = rest
        if here:
            yield joined(here)


def _from(records: Records, tsc: int) -> Records:
    late = records["tsc"] >= tsc
    return records if late.all() else taken(records, late)


def open_trace(path: Path | str, symbols: Path | str | None = None) -> Trace:
    """Open a trace file. Raises TraceError where nothing in it can be read; what can be read, is."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TraceError(f"{path} is no regular file; name a trace that 'ring3 run --trace' has written")
            begin = file.read(format.header_size(b""))
            size = format.header_size(begin)
            begin += file.read(size - len(begin))
            header = unpack_header(begin, str(path))
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise TraceError(f"trace {path} cannot be read ({error.strerror}); record one with "
                         "'ring3 run KERNEL --trace FILE'") from error  # fmt: skip
    return Trace(path, header, ChunkFile(data, size), Path(symbols) if symbols else None)
