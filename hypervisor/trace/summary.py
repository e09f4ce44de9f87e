"""Figures over a whole trace: how often, how long, by whom. One pass, in memory that does not grow with the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import DeviceAccess, TraceKind
from hypervisor.trace import names
from hypervisor.trace.callers import USER_RING
from hypervisor.trace.chunks import Records, taken
from hypervisor.trace.columns import NONE
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.histogram import Histogram, Histograms
from hypervisor.trace.shapes import CODE_BYTES, call_name, instruction, payload_name
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED
from hypervisor.trace.titles import TITLES

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

_TIMED = frozenset({TraceKind.HYPERCALL, TraceKind.EXIT, TraceKind.EMULATED, TraceKind.TLB_FILL, TraceKind.IDLE})
"""Kinds whose records tell a latency; the others are events."""
_FEW = 16  # rows of a table for which there is room at first


@dataclass(frozen=True)
class Latency:
    """Nanoseconds until the guest went on, of the operations that ended. The p's are percentiles, to 1 %.

    `powers`: how many took from 2^n cycles to 2^(n+1), by n.
    """

    total: float
    mean: float
    p50: float
    p90: float
    p99: float
    most: float
    powers: list[tuple[int, int]] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Row:
    """One line of a table: `share` of the table's records, `rate` per second of the recording."""

    name: str
    count: int
    share: float
    rate: float
    latency: Latency | None = None
    most: str = ""


@dataclass(frozen=True)
class Table:
    """Rows by falling count; `most` says what the column of that name holds, if there is one."""

    title: str
    rows: list[Row] = field(default_factory=list)
    most: str = ""


class _Cells:
    """Counts and latencies of one table while records come in, by name."""

    def __init__(self) -> None:
        self._rows: dict[object, int] = {}
        self._counts = np.zeros(_FEW, np.int64)
        self._latencies = Histograms(_FEW)

    def add(self, keys: NDArray[np.int64], records: Records, name: Callable[[int], object], timed: bool) -> None:
        """Count `records`, whose keys `name` turns into what they are known by."""
        if not len(keys):
            return
        unique, at = np.unique(keys, return_inverse=True)
        rows = np.array([self._rows.setdefault(name(key), len(self._rows)) for key in unique.tolist()], np.int64)
        if len(self._rows) > len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros(len(self._rows), np.int64)))
        row = rows[at.ravel()]
        self._counts += np.bincount(row, minlength=len(self._counts))
        if timed:
            ended = records["sequence"] != UNFINISHED
            self._latencies.add(row[ended], records["latency"][ended])

    def rows(self) -> Iterator[tuple[object, int, Histogram | None]]:
        """Name, count and, where there are any, latencies."""
        for name, row in self._rows.items():
            yield name, int(self._counts[row]), self._latencies.of(row)


def summarise(trace: Trace, where: str | None = None) -> Summary:
    """The figures of a trace, or of the records of it for which `where` holds."""
    summary = Summary(trace)
    for records in trace.batches(where):
        summary.add(records)
    return summary


class Summary:
    """Figures of records of `trace`, which `add` takes."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._cells: dict[str, _Cells] = {key: _Cells() for key in TITLES}
        self._callers: defaultdict[tuple[str, object], defaultdict[object, int]] = defaultdict(lambda: defaultdict(int))
        self.overlong = self.count = 0
        self.seconds = trace.seconds  # how long was recorded, for rates

    def add(self, records: Records) -> None:
        """Count some records, at least one."""
        self.count += len(records)
        self.overlong += int((records["latency"] == LATENCY_MAX).sum())
        kinds = records["kind"]
        self._by_kind(kinds, records)
        for kind, adder in (
            (TraceKind.HYPERCALL, self._calls), (TraceKind.EMULATED, self._emulated), (TraceKind.EXIT, self._exits),
            (TraceKind.DEVICE, self._devices), (TraceKind.INTERRUPT, self._interrupts),
            (TraceKind.EXCEPTION, self._exceptions), (TraceKind.MARK, self._marks),
        ):  # fmt: skip
            mask = kinds == kind
            if mask.any():
                adder(taken(records, mask))
        self._cells["process"].add(records["cr3"].astype(np.int64), records, lambda cr3: f"CR3 {cr3:#010x}", False)

    def _by_kind(self, kinds: NDArray[np.uint8], records: Records) -> None:
        timed = np.isin(kinds, list(_TIMED))
        for mask, has_latency in ((timed, True), (~timed, False)):
            chosen = taken(records, mask)
            self._cells["kind"].add(chosen["kind"].astype(np.int64), chosen, KIND_NAMES.__getitem__, has_latency)

    def _calls(self, records: Records) -> None:
        numbers = records["number"].astype(np.int64)
        self._cells["hypercall"].add(numbers, records, call_name, True)
        self._by_caller("caller", records, numbers, call_name)

    def _by_caller(self, table: str, records: Records, what: NDArray[np.int64], name: Callable[[int], str]) -> None:
        """Group by the function in which EIP lies; user addresses are not told apart, so one place stands for all."""
        user = records["cpl"] == USER_RING
        places = np.where(user, np.int64(1) << 32, records["eip"].astype(np.int64))
        symbol = self._trace.callers.symbol

        def function(place: int) -> str:
            return symbol(USER_RING if place >> 32 else 0, place & 0xFFFF_FFFF)

        self._cells[table].add(places, records, function, True)
        pairs, counts = np.unique(places << 8 | what, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self._callers[table, function(pair >> 8)][name(pair & 0xFF)] += count

    def _emulated(self, records: Records) -> None:
        codes, at = np.unique(records["args"][:, :3], axis=0, return_inverse=True)
        words = [instruction(code.astype("<u4").tobytes()[:CODE_BYTES])[0] for code in codes]
        mnemonics = list(dict.fromkeys(words))
        what = np.array([mnemonics.index(word) for word in words], np.int64)[at.ravel()]
        self._cells["emulated"].add(what, records, mnemonics.__getitem__, True)
        self._by_caller("emulated-caller", records, what & 0xFF, mnemonics.__getitem__)

    def _exits(self, records: Records) -> None:
        self._cells["exit"].add(records["number"].astype(np.int64), records,
                                lambda number: names.EXITS.get(number, f"#{number}"), True)  # fmt: skip

    def _interrupts(self, records: Records) -> None:
        self._cells["interrupt"].add(records["number"].astype(np.int64), records,
                                     lambda vector: f"vector {vector:#04x}", False)  # fmt: skip

    def _exceptions(self, records: Records) -> None:
        self._cells["exception"].add(
            records["number"].astype(np.int64), records,
            lambda vector: names.EXCEPTIONS.get(vector, f"vector {vector:#04x}"), False,
        )  # fmt: skip

    def _devices(self, records: Records) -> None:
        places = records["args"][:, 0].astype(np.int64)
        numbers = records["number"].astype(np.int64)
        self._cells["access"].add(numbers << 32 | places, records, self._access, False)
        columns = self._trace.columns(records)
        keys = np.where(columns.port != NONE, columns.port, places | 1 << 32)
        device = self._trace.devices.by_key
        self._cells["device"].add(keys, records, lambda key: device(key) or "(nothing there)", False)

    def _access(self, key: int) -> str:
        access, place = key >> 32, key & 0xFFFF_FFFF
        ports = access in (DeviceAccess.PORT_IN, DeviceAccess.PORT_OUT)
        device = self._trace.devices.port(place) if ports else self._trace.devices.memory(place)
        words = f"{names.DEVICE_ACCESSES.get(access, f'#{access}')} {place:#0{6 if ports else 10}x}"
        return f"{words} {device}" if device else words

    def _marks(self, records: Records) -> None:
        texts = np.concatenate((records["args"], records["operand"]), axis=1)
        unique, at = np.unique(texts, axis=0, return_inverse=True)
        words = [payload_name(TraceKind.MARK, text.astype("<u4").tobytes().rstrip(b"\0")) for text in unique]
        self._cells["mark"].add(at.ravel().astype(np.int64), records, words.__getitem__, False)

    # --- results --------------------------------------------------------------------------------------

    def table(self, key: str) -> Table:
        """The table `key` of TITLES."""
        found = list(self._cells[key].rows())
        whole = sum(count for _, count, _ in found)
        seconds = self.seconds
        rows = [
            Row(str(name), count, count / whole, count / seconds if seconds > 0 else 0.0,
                self._latency(histogram), self._most(key, name))
            for name, count, histogram in found
        ]  # fmt: skip
        has_most = key in ("caller", "emulated-caller")
        return Table(TITLES[key], sorted(rows, key=lambda row: (-row.count, row.name)), "mostly" if has_most else "")

    def _most(self, key: str, name: object) -> str:
        found = self._callers.get((key, name))
        return str(max(found, key=lambda what: (found[what], str(what)))) if found else ""

    def _latency(self, histogram: Histogram | None) -> Latency | None:
        if histogram is None:
            return None
        ns = self._trace.nanoseconds
        p50, p90, p99, most = histogram.percentiles(50, 90, 99, 100)
        return Latency(ns(histogram.total), ns(histogram.total / histogram.count), ns(p50), ns(p90), ns(p99), ns(most),
                       histogram.by_power())  # fmt: skip

    def tables(self, keys: Iterable[str] = tuple(TITLES)) -> list[Table]:
        """Those of `keys` that have something to tell."""
        return [table for table in map(self.table, keys) if table.rows]
