"""What of a trace a porter can use: the places in the kernel whose instructions trapped and were emulated."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from hypervisor.trace.callers import USER_RING
from hypervisor.trace.reader import UNFINISHED, Trace
from hypervisor.trace.shapes import CODE_BYTES


class Trapped(NamedTuple):
    """A place that trapped. `vector` is the exception by which; `seconds` are those of the emulation, to which the
    host's trap and signal come, some microseconds each time."""

    address: int
    code: bytes
    vector: int
    times: int
    seconds: float


def trapped(trace: Trace) -> list[Trapped]:
    """The places by falling number of traps. Those of user code are left out: it has no addresses of its own."""
    times: dict[tuple[int, int], int] = defaultdict(int)
    cycles: dict[tuple[int, int], float] = defaultdict(float)
    codes: dict[tuple[int, int], bytes] = {}
    for records in trace.batches(f"emulated and ring != {USER_RING}"):
        args = records["args"]
        keys = np.column_stack((records["eip"], args[:, 3]))
        places, first, at, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
        ended = records["sequence"] != UNFINISHED
        sums = np.bincount(at.ravel(), records["latency"] * ended, minlength=len(places))
        for (address, vector), index, count, total in zip(places.tolist(), first, counts.tolist(), sums, strict=True):
            times[address, vector] += count
            cycles[address, vector] += float(total)
            codes.setdefault((address, vector), args[index, :3].astype("<u4").tobytes()[:CODE_BYTES])
    found = [
        Trapped(address, codes[address, vector], vector, count, trace.nanoseconds(cycles[address, vector]) / 1e9)
        for (address, vector), count in times.items()
    ]
    return sorted(found, key=lambda place: (-place.times, place.address))
