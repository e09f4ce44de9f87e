"""Latencies of any number of operations in little memory: counts by buckets that are 1.6 % wide.

A bucket is found from the exponent and the first six bits of the mantissa of a latency as a double, so that there are
64 for each power of two and small latencies are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MANTISSA_BITS = 6
_SHIFT = 52 - _MANTISSA_BITS
_FIRST = 1023 << _MANTISSA_BITS  # the bucket of 1
BUCKETS = (32 << _MANTISSA_BITS) + 1  # of latencies below 2^32 cycles; the first is that of 0


def bucket_of(cycles: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The bucket of each latency."""
    bits = cycles.astype(np.float64).view(np.int64) >> _SHIFT
    buckets: NDArray[np.int64] = np.maximum(bits - _FIRST + 1, 0)
    return buckets


def middle_of(bucket: NDArray[np.int64]) -> NDArray[np.float64]:
    """The latency in the middle of a bucket, in cycles."""
    low = ((bucket.astype(np.int64) - 1 + _FIRST) << _SHIFT).view(np.float64)
    high = ((bucket.astype(np.int64) + _FIRST) << _SHIFT).view(np.float64)
    # A latency is a whole number, so that small ones have a bucket of their own.
    middle = np.where(high - low <= 1, np.ceil(low), (low + high) / 2)
    return np.where(bucket == 0, 0.0, middle)


@dataclass(frozen=True)
class Histogram:
    """Counts by bucket, at least one, and the exact sum, in cycles."""

    counts: NDArray[np.uint32]
    total: int

    @property
    def count(self) -> int:
        """How many latencies it has."""
        return int(self.counts.sum(dtype=np.int64))

    def percentiles(self, *percent: float) -> list[float]:
        """The latencies in cycles up to which that many percent lie."""
        found = np.flatnonzero(self.counts)
        upto = np.cumsum(self.counts[found], dtype=np.int64)
        wanted = np.maximum(np.ceil(np.array(percent) / 100 * upto[-1]), 1)
        return middle_of(found[np.searchsorted(upto, wanted)]).tolist()  # type: ignore[no-any-return]

    def by_power(self) -> list[tuple[int, int]]:
        """Counts by powers of two: the exponent (-1: no cycles at all) and how many lie from there to the next."""
        powers = np.where(np.arange(BUCKETS) == 0, -1, (np.arange(BUCKETS) - 1) >> _MANTISSA_BITS)
        counts = np.bincount(powers + 1, self.counts, minlength=33).astype(np.int64)
        return [(power - 1, int(count)) for power, count in enumerate(counts) if count]


class Histograms:
    """A histogram for each of many rows, for `room` of them at first."""

    def __init__(self, room: int) -> None:
        self._counts = np.zeros((room, BUCKETS), np.uint32)
        self._totals = np.zeros(room, np.float64)

    def add(self, rows: NDArray[np.int64], cycles: NDArray[np.uint32]) -> None:
        """Take latencies, each with the row that it belongs to."""
        if not len(rows):
            return
        more = int(rows.max()) + 1 - len(self._totals)
        if more > 0:
            more = max(more, len(self._totals))
            self._counts = np.concatenate((self._counts, np.zeros((more, BUCKETS), np.uint32)))
            self._totals = np.concatenate((self._totals, np.zeros(more)))
        places, counts = np.unique(rows * BUCKETS + bucket_of(cycles), return_counts=True)
        self._counts.reshape(-1)[places] += counts.astype(np.uint32)
        self._totals += np.bincount(rows, cycles, minlength=len(self._totals))

    def of(self, row: int) -> Histogram | None:
        """The histogram of a row; None where it has no latencies."""
        if row >= len(self._totals) or not self._counts[row].any():
            return None
        return Histogram(self._counts[row], round(self._totals[row]))
