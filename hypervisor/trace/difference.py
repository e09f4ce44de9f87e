"""What two traces differ in: what is new, gone, more or less often, slower or faster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hypervisor.trace.summary import Row, Summary
from hypervisor.trace.titles import TITLES

_COMPARED = ("hypercall", "caller", "emulated", "exit", "interrupt", "exception", "access", "mark")
_FEW = 20  # latencies from which on two medians can be told apart from chance


class Change(StrEnum):
    """In what a row differs."""

    NEW = "new"
    GONE = "gone"
    MORE = "more often"
    LESS = "less often"
    SLOWER = "slower"
    FASTER = "faster"


@dataclass(frozen=True)
class Difference:
    """One row of two tables; None where it is in one only. `changes`: what is worth telling, never empty."""

    name: str
    before: Row | None
    after: Row | None
    changes: tuple[Change, ...]

    @property
    def weight(self) -> float:
        """By how much the traces differ here: in time where that is known (ns), else in counts."""
        totals = [row.latency.total if row and row.latency else 0.0 for row in (self.before, self.after)]
        counts = [float(row.count) if row else 0.0 for row in (self.before, self.after)]
        return abs(totals[1] - totals[0]) + abs(counts[1] - counts[0])


def differences(before: Summary, after: Summary, threshold: float) -> dict[str, list[Difference]]:
    """Rows that differ by more than `threshold` (0.1: a tenth) in count or median latency, by the table's title.

    The largest difference comes first. Counts are compared, not rates: two runs of the same work ask for the same
    however long they take.
    """
    found = {}
    for key in _COMPARED:
        rows: list[Mapping[str, Row]] = [{row.name: row for row in part.table(key).rows} for part in (before, after)]
        compared = (
            _compare(name, rows[0].get(name), rows[1].get(name), threshold)
            for name in dict.fromkeys([*rows[0], *rows[1]])
        )
        listed = sorted((one for one in compared if one), key=lambda one: (-one.weight, one.name))
        if listed:
            found[TITLES[key]] = listed
    return found


def _compare(name: str, before: Row | None, after: Row | None, threshold: float) -> Difference | None:
    if before is None or after is None:
        return Difference(name, before, after, (Change.NEW if before is None else Change.GONE,))
    changes = []
    if abs(after.count - before.count) > threshold * before.count:
        changes.append(Change.MORE if after.count > before.count else Change.LESS)
    if before.latency and after.latency and min(before.count, after.count) >= _FEW:
        slower = after.latency.p50 - before.latency.p50
        if abs(slower) > threshold * before.latency.p50:
            changes.append(Change.SLOWER if slower > 0 else Change.FASTER)
    return Difference(name, before, after, tuple(changes)) if changes else None
