"""Whole lines for many records at once, for people and as JSON.

A guest asks for the same things from the same places again and again: of 812,166 records of xv6's usertests, 103,228
differ in more than their times. So what does not depend on times is written once and remembered by the record's bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import TraceKind
from hypervisor.terminal import duration
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED, Decoder, Memo

if TYPE_CHECKING:
    from hypervisor.trace.reader import Records, Trace

_MOST_KNOWN = 1 << 17  # some 50 MB of texts
_NO_END = -1  # in place of a latency
_SECOND, _FRACTION = 10**9, 9  # ns, and digits behind the point
_NARROWEST = 14  # columns of a time
_ZERO, _POINT, _SPACE, _MINUS = b"0. -"


class _Known:
    """What `write` makes of records but for their times, each made once."""

    def __init__(self, write: Callable[[Records], list[str]]) -> None:
        self._write = write
        self._texts: dict[bytes, str] = {}

    def of(self, records: Records) -> list[str]:
        """The text of each record."""
        plain = records.copy()
        plain["tsc"], plain["latency"], plain["sequence"] = 0, 0, records["sequence"] != UNFINISHED
        keys: list[bytes] = plain.view(f"V{plain.itemsize}").tolist()
        found = list(map(self._texts.get, keys))
        if None in found:
            self._learn(records, keys, found)
        return found  # type: ignore[return-value]  # all are known by now

    def _learn(self, records: Records, keys: list[bytes], found: list[str | None]) -> None:
        missing = [index for index, text in enumerate(found) if text is None]
        new = {keys[index]: index for index in missing}
        if len(self._texts) + len(new) > _MOST_KNOWN:
            self._texts.clear()
        self._texts.update(zip(new, self._write(records[list(new.values())]), strict=True))
        for index in missing:
            found[index] = self._texts[keys[index]]


class LineWriter:
    """Lines of records, for one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace, self._decoder = trace, Decoder(trace)
        self._ends, self._json_ends = _Known(self._written), _Known(self._json_written)
        self._durations, self._latencies = Memo(self._duration), Memo(self._latency)

    def lines(self, records: Records) -> str:
        """A line for people for each record: seconds, duration, ring, kind, what it was, where from."""
        unfinished = (records["sequence"] == UNFINISHED) & (records["kind"] != TraceKind.MARK)
        pieces: list[str] = [""] * (3 * len(records))
        pieces[0::3] = time_texts(self._decoder.nanoseconds(records))
        pieces[1::3] = self._of_latency(self._durations, records, unfinished)
        pieces[2::3] = self._ends.of(records)
        return "".join(pieces)

    def json_lines(self, records: Records) -> str:
        """A JSON object for programs for each record; times in seconds and ns, null where there is none."""
        unfinished = (records["sequence"] == UNFINISHED) | (records["latency"] == 0)
        pieces: list[str] = ['{"time": '] * (4 * len(records))
        pieces[1::4] = map(str.lstrip, time_texts(self._decoder.nanoseconds(records)))
        pieces[2::4] = self._of_latency(self._latencies, records, unfinished)
        pieces[3::4] = self._json_ends.of(records)
        return "".join(pieces)

    @staticmethod
    def _of_latency(memo: Memo, records: Records, unfinished: NDArray[np.bool_]) -> list[str]:
        cycles = np.where(unfinished, _NO_END, records["latency"].astype(np.int64))
        return list(map(memo.__getitem__, cycles.tolist()))

    # --- what is made once for each value ---------------------------------------------------------------

    def _duration(self, cycles: int) -> str:
        if cycles == _NO_END:
            return f" {'no end':>8} "
        words = duration(self._trace.nanoseconds(cycles)) if cycles else ""
        return f" {'>' * (cycles == LATENCY_MAX) + words:>8} "

    def _latency(self, cycles: int) -> str:
        known = "null" if cycles == _NO_END else f"{self._trace.nanoseconds(cycles):.1f}"
        return f', "latency_ns": {known}'

    def _written(self, records: Records) -> list[str]:
        kinds = [f"{name:<9}" for name in KIND_NAMES.values()]
        by_kind = dict(zip(KIND_NAMES, kinds, strict=True))
        nested = ["", *("  " * depth for depth in range(1, 16))]
        return list(map("%d %s %s%-58s %s\n".__mod__, zip(
            records["cpl"].tolist(), [by_kind[kind] for kind in records["kind"].tolist()],
            [nested[depth] for depth in (records["flags"] >> 4).tolist()],
            self._decoder.texts(records), self._decoder.callers(records), strict=True)))  # fmt: skip

    def _json_written(self, records: Records) -> list[str]:
        places = map(json.dumps, self._decoder.callers(records))
        form = ', %s, "ring": %d, "nesting": %d, "eip": %d, "caller": %s, "cr3": %d}\n'
        return list(map(form.__mod__, zip(
            self._decoder.json_members(records), records["cpl"].tolist(), (records["flags"] >> 4).tolist(),
            records["eip"].tolist(), places, records["cr3"].tolist(), strict=True)))  # fmt: skip


def time_texts(nanoseconds: NDArray[np.int64]) -> list[str]:
    """Times in seconds as `%14.9f` would write them, or wider, all in one width."""
    if not len(nanoseconds):
        return []
    left = np.abs(nanoseconds)
    seconds = len(str(int(left.max()) // _SECOND)) + 1  # with a sign
    width = max(seconds + 1 + _FRACTION, _NARROWEST)
    texts = np.full((len(left), width), _SPACE, np.uint8)
    texts[:, -_FRACTION - 1] = _POINT
    rows, unit = np.arange(len(left)), width - _FRACTION - 2
    first = np.full(len(left), unit)
    for column in (*range(width - 1, unit + 1, -1), *range(unit, unit - seconds + 1, -1)):
        whole = left // 10
        if column < unit:
            first[left > 0] = column
        texts[:, column] = np.where((column >= unit) | (left > 0), _ZERO + (left - whole * 10), _SPACE)
        left = whole
    below = nanoseconds < 0
    texts[rows[below], first[below] - 1] = _MINUS
    text = texts.tobytes().decode("ascii")
    return [text[at : at + width] for at in range(0, len(text), width)]

