"""Figures over a whole trace: how often, how long, by whom. Works on columns, for millions of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import DeviceAccess, TraceKind
from hypervisor.trace import decode, names
from hypervisor.trace.callers import USER_RING, Callers
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.reader import LATENCY_MAX, UNFINISHED, Trace

_TIMED = frozenset({TraceKind.HYPERCALL, TraceKind.EXIT, TraceKind.EMULATED, TraceKind.TLB_FILL, TraceKind.IDLE})
"""Kinds whose records tell a latency; the others are events."""


@dataclass(frozen=True)
class Latency:
    """Nanoseconds until the guest went on, of the operations that ended. p50 and p99 are percentiles."""

    total: float
    mean: float
    p50: float
    p99: float


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


class Summary:
    """The figures of one trace."""

    def __init__(self, trace: Trace, callers: Callers) -> None:
        self._trace, self._callers = trace, callers
        self._kind = trace.column("kind")
        self._number = trace.column("number")
        self._latency = trace.column("latency")
        self._ended = trace.column("sequence") != UNFINISHED
        self.overlong = int((self._latency == LATENCY_MAX).sum())

    def by_kind(self) -> Table:
        """All records."""
        kinds, groups = np.unique(self._kind, return_inverse=True)
        timed = [kind in _TIMED for kind in kinds]
        rows = self._rows(np.arange(len(self._kind)), groups, [KIND_NAMES[int(kind)] for kind in kinds], timed)
        return Table("records", rows)

    def hypercalls(self) -> Table:
        """Hypercalls by name."""
        return self._by_number("hypercalls", TraceKind.HYPERCALL, decode.call_name)

    def exits(self) -> Table:
        """Exits to the VMM by reason."""
        return self._by_number("exits", TraceKind.EXIT, lambda number: names.EXITS.get(number, f"#{number}"))

    def interrupts(self) -> Table:
        """Interrupts by vector."""
        return self._by_number("interrupts", TraceKind.INTERRUPT, lambda vector: f"vector {vector:#04x}")

    def exceptions(self) -> Table:
        """Exceptions delivered to the guest, by vector."""
        return self._by_number("exceptions", TraceKind.EXCEPTION,
                               lambda vector: names.EXCEPTIONS.get(vector, f"vector {vector:#04x}"))  # fmt: skip

    def callers(self) -> Table:
        """Hypercalls by the function that makes them, with the one that it makes most."""
        where = np.flatnonzero(self._kind == TraceKind.HYPERCALL)
        numbers, at = np.unique(self._number[where], return_inverse=True)
        names_of = [decode.call_name(int(number)) for number in numbers]
        return self._by_caller("callers of hypercalls", where, at, names_of)

    def emulated(self) -> Table:
        """Instructions that were left unported and trapped, by mnemonic."""
        where, at, mnemonics = self._instructions()
        return self._labelled("emulated instructions", where, at, mnemonics)

    def emulated_callers(self) -> Table:
        """The same by the function that they stand in: what is worth porting."""
        return self._by_caller("emulated instructions in", *self._instructions())

    def devices(self) -> Table:
        """Accesses to ports and to devices' memory, by place."""
        where = np.flatnonzero(self._kind == TraceKind.DEVICE)
        places = self._trace.column("args")[where, 0]
        keys, at = np.unique(self._number[where].astype(np.uint64) << np.uint64(32) | places, return_inverse=True)
        labels = [_device_name(key >> 32, key & 0xFFFF_FFFF) for key in keys.tolist()]
        return self._labelled("devices", where, at, labels)

    def tables(self) -> list[Table]:
        """All that have something to tell."""
        makers: tuple[Callable[[], Table], ...] = (
            self.by_kind, self.hypercalls, self.callers, self.emulated, self.emulated_callers, self.exits,
            self.interrupts, self.exceptions, self.devices,
        )  # fmt: skip
        return [table for table in (make() for make in makers) if table.rows]

    # --- how ------------------------------------------------------------------------------------------

    def _by_number(self, title: str, kind: TraceKind, name: Callable[[int], str]) -> Table:
        where = np.flatnonzero(self._kind == kind)
        numbers, groups = np.unique(self._number[where], return_inverse=True)
        timed = [kind in _TIMED] * len(numbers)
        return Table(title, self._rows(where, groups, [name(int(number)) for number in numbers], timed))

    def _instructions(self) -> tuple[NDArray[np.intp], NDArray[np.intp], list[str]]:
        """The records of emulated instructions, for each the index of its mnemonic, the mnemonics."""
        where = np.flatnonzero(self._kind == TraceKind.EMULATED)
        codes, at = np.unique(self._trace.column("args")[where, :3], axis=0, return_inverse=True)
        mnemonics = [decode.instruction(code.astype("<u4").tobytes())[0] for code in codes]
        return where, at.ravel(), mnemonics

    def _by_caller(self, title: str, where: NDArray[np.intp], what: NDArray[np.intp], words: Sequence[str]) -> Table:
        """Group by the function in which `eip` lies; `what` gives each record's index in `words`."""
        user = self._trace.column("cpl")[where] == USER_RING
        # User addresses are not told apart, so one place stands for all.
        places = np.where(user, np.uint64(1) << np.uint64(32), self._trace.column("eip")[where].astype(np.uint64))
        addresses, at = np.unique(places, return_inverse=True)
        symbols = [self._callers.symbol(USER_RING if place >> 32 else 0, place) for place in addresses.tolist()]
        labels, of_address = np.unique(np.array(symbols, dtype=object), return_inverse=True)
        groups = of_address[at] if len(at) else at
        # What each function does most: of all pairs (function, word), the one with the largest count.
        pairs, counts = np.unique(groups.astype(np.int64) << 32 | what, return_counts=True)
        most = {int(pair) >> 32: int(pair) & 0xFFFF_FFFF for pair in pairs[np.argsort(counts, kind="stable")]}
        mostly = [words[most[index]] for index in range(len(labels))]
        return Table(title, self._rows(where, groups, list(labels), [True] * len(labels), mostly), "mostly")

    def _labelled(self, title: str, where: NDArray[np.intp], at: NDArray[np.intp], labels: Sequence[str]) -> Table:
        """Group by label where several keys may share one; `at` gives each record's key."""
        unique, of_key = np.unique(np.array(labels, dtype=object), return_inverse=True)
        timed = bool(len(where)) and int(self._kind[where[0]]) in _TIMED
        return Table(title, self._rows(where, of_key[at] if len(at) else at, list(unique), [timed] * len(unique)))

    def _rows(self, where: NDArray[np.intp], groups: NDArray[np.intp], labels: Sequence[str], timed: Sequence[bool],
              most: Sequence[str] = ()) -> list[Row]:  # fmt: skip
        """One row for each label; `groups` tells the label of each of the records `where`."""
        counts = np.bincount(groups, minlength=len(labels))
        order = np.argsort(groups, kind="stable")
        parts = np.split(where[order], np.cumsum(counts)[:-1]) if len(labels) else []
        seconds = self._trace.seconds
        rows = [
            Row(label, int(count), count / len(where), count / seconds if seconds else 0.0,
                self._latency_of(part) if has_latency else None, most[index] if most else "")
            for index, (label, count, part, has_latency) in enumerate(zip(labels, counts, parts, timed, strict=True))
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (-row.count, row.name))

    def _latency_of(self, indices: NDArray[np.intp]) -> Latency | None:
        cycles: NDArray[Any] = self._latency[indices[self._ended[indices]]]
        if not len(cycles):
            return None
        ns = self._trace.nanoseconds
        p50, p99 = np.percentile(cycles, (50, 99))
        return Latency(ns(int(cycles.sum(dtype=np.uint64))), ns(float(cycles.mean())), ns(float(p50)), ns(float(p99)))


def _device_name(access: int, place: int) -> str:
    digits = 6 if access in (DeviceAccess.PORT_IN, DeviceAccess.PORT_OUT) else 10
    return f"{names.DEVICE_ACCESSES.get(access, f'#{access}')} {place:#0{digits}x}"
