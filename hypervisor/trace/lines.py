"""Whole lines for many records at once, for people and as JSON.

A guest asks for the same things from the same places again and again: of 812,166 records of xv6's usertests, 103,228
differ in more than their times. So what does not depend on times is written once and remembered by the record's bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import TraceKind
from hypervisor.terminal import duration
from hypervisor.trace.chunks import Records, copied, taken
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED, Decoder

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

Texts = NDArray[np.uint8]
"""Texts of one width: a row of ASCII codes for each."""

_SHORT = 1 << 17  # cycles
_MOST_KNOWN = 1 << 17  # some 50 MB of texts
_NO_END = -1  # in place of a latency
_SECOND, _FRACTION = 10**9, 9  # ns, and digits behind the point
_NARROWEST, _NARROWEST_SPAN = 14, 8  # columns of a time, and of how long something took
_ZERO, _POINT, _SPACE, _MINUS = b"0. -"


class _Known:
    """What `write` makes of records but for their times and the fields `unseen`, each made once."""

    def __init__(self, write: Callable[[Records], list[str]], *unseen: str) -> None:
        self._write, self._unseen = write, ("tsc", "latency", *unseen)
        self._texts: dict[bytes, str] = {}

    def of(self, records: Records) -> list[str]:
        """The text of each record."""
        plain = copied(records)
        plain["sequence"] = records["sequence"] != UNFINISHED
        for field in self._unseen:
            plain[field] = 0
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
        self._texts.update(zip(new, self._write(taken(records, list(new.values()))), strict=True))
        for index in missing:
            found[index] = self._texts[keys[index]]


class _Column:
    """Texts of latencies, made by `write`, all in one width: a column of a table. The short ones are remembered."""

    def __init__(self, write: Callable[[int], str]) -> None:
        self._write, self._width = write, max(len(write(LATENCY_MAX)), _NARROWEST_SPAN)
        self._short = np.zeros((_SHORT, self._width), np.uint8)
        self._known = np.zeros(_SHORT, bool)

    def of(self, cycles: NDArray[np.int64]) -> Texts:
        """The text of each; `_NO_END` is one, too."""
        at = np.minimum(cycles, _SHORT - 2)  # the last row is that of _NO_END, as -1 has it
        new = np.unique(at[~self._known[at]])
        if len(new):
            self._short[new], self._known[new] = self._texts(new), True
        found = self._short[at]
        long = np.flatnonzero(cycles != at)
        if len(long):
            found[long] = self._texts(cycles[long])
        return found

    def _texts(self, cycles: NDArray[np.int64]) -> Texts:
        words = [self._write(value).rjust(self._width) for value in cycles.tolist()]
        return np.frombuffer("".join(words).encode("ascii"), np.uint8).reshape(len(words), self._width)


class LineWriter:
    """Lines of records, for one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace, self._decoder = trace, Decoder(trace)
        self._ends, self._json_ends = _Known(self._written, "cr3"), _Known(self._json_written)
        self._durations, self._latencies = _Column(self._duration), _Column(self._latency)

    def lines(self, records: Records) -> str:
        """A line for people for each record: seconds, duration, ring, kind, what it was, where from."""
        unfinished = (records["sequence"] == UNFINISHED) & (records["kind"] != TraceKind.MARK)
        heads = side_by_side(time_texts(self._decoder.nanoseconds(records)), " ",
                             self._durations.of(_cycles(records, unfinished)), " ")  # fmt: skip
        return "".join(chain.from_iterable(zip(heads, self._ends.of(records), strict=True)))

    def json_lines(self, records: Records) -> str:
        """A JSON object for programs for each record; times in seconds and ns, null where there is none."""
        unfinished = (records["sequence"] == UNFINISHED) | (records["latency"] == 0)
        heads = side_by_side('{"time": ', time_texts(self._decoder.nanoseconds(records)), ', "latency_ns": ',
                             self._latencies.of(_cycles(records, unfinished)))  # fmt: skip
        return "".join(chain.from_iterable(zip(heads, self._json_ends.of(records), strict=True)))

    # --- what is made once for each value ---------------------------------------------------------------

    def _duration(self, cycles: int) -> str:
        if cycles == _NO_END:
            return "no end"
        words = duration(self._trace.nanoseconds(cycles)) if cycles else ""
        return ">" * (cycles == LATENCY_MAX) + words

    def _latency(self, cycles: int) -> str:
        return "null" if cycles == _NO_END else f"{self._trace.nanoseconds(cycles):.1f}"

    def _written(self, records: Records) -> list[str]:
        kinds = [f"{name:<9}" for name in KIND_NAMES.values()]
        by_kind = dict(zip(KIND_NAMES, kinds, strict=True))
        nested = ["", *("  " * depth for depth in range(1, 16))]
        return list(map("%d %s %s%-58s %s\n".__mod__, zip(
            records["cpl"].tolist(), [by_kind[kind] for kind in records["kind"].tolist()],
            [nested[depth] for depth in (records["flags"] >> 4).tolist()],
            self._decoder.texts(records), self._decoder.callers(records), strict=True)))  # fmt: skip

    def _json_written(self, records: Records) -> list[str]:
        places = map(_quoted, self._decoder.callers(records))
        form = ', %s, "ring": %d, "nesting": %d, "eip": %d, "caller": %s, "cr3": %d}\n'
        return list(map(form.__mod__, zip(
            self._decoder.json_members(records), records["cpl"].tolist(), (records["flags"] >> 4).tolist(),
            records["eip"].tolist(), places, records["cr3"].tolist(), strict=True)))  # fmt: skip


_quoted = lru_cache(1 << 12)(json.dumps)


def _cycles(records: Records, unfinished: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(unfinished, _NO_END, records["latency"].astype(np.int64))


def time_texts(nanoseconds: NDArray[np.int64]) -> Texts:
    """Times in seconds as `%14.9f` would write them, or wider, all in one width."""
    left = np.abs(nanoseconds)
    seconds = len(str(int(left.max(initial=0)) // _SECOND)) + 1  # with a sign
    width = max(seconds + 1 + _FRACTION, _NARROWEST)
    made = np.full((len(left), width), _SPACE, np.uint8)
    made[:, -_FRACTION - 1] = _POINT
    rows, unit = np.arange(len(left)), width - _FRACTION - 2
    first = np.full(len(left), unit)
    for column in (*range(width - 1, unit + 1, -1), *range(unit, unit - seconds + 1, -1)):
        whole = left // 10
        if column < unit:
            first[left > 0] = column
        made[:, column] = np.where((column >= unit) | (left > 0), _ZERO + (left - whole * 10), _SPACE)
        left = whole
    below = nanoseconds < 0
    made[rows[below], first[below] - 1] = _MINUS
    return made


def side_by_side(*columns: Texts | str) -> list[str]:
    """Strings of texts next to each other; a string is repeated in each."""
    parts = [np.frombuffer(column.encode("ascii"), np.uint8)[None] if isinstance(column, str) else column
             for column in columns]  # fmt: skip
    whole = np.empty((max(map(len, parts)), sum(part.shape[1] for part in parts)), np.uint8)
    at = 0
    for part in parts:
        whole[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    text = whole.tobytes().decode("ascii")
    return [text[begin : begin + at] for begin in range(0, len(text), at)]
