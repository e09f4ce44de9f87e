"""What of a trace a porter can use: the places in the kernel whose instructions trapped and were emulated."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hypercalls.structs import TraceKind
from hypervisor.trace.callers import USER_RING
from hypervisor.trace.reader import UNFINISHED, Trace

_CODE_BYTES = 12  # of an instruction that a record holds


class Trapped(NamedTuple):
    """A place that trapped. `vector` is the exception by which; `seconds` are those of the emulation, to which the
    host's trap and signal come, some microseconds each time."""

    address: int
    code: bytes
    vector: int
    times: int
    seconds: float


def kernel(trace: Trace) -> Path:
    """The file that was recorded."""
    return Path(trace.header.kernel)


def trapped(trace: Trace) -> list[Trapped]:
    """The places by falling number of traps. Those of user code are left out: it has no addresses of its own."""
    where = np.flatnonzero((trace.column("kind") == TraceKind.EMULATED) & (trace.column("cpl") != USER_RING))
    args = trace.column("args")[where]
    keys = np.column_stack((trace.column("eip")[where].astype(np.uint64), args[:, 3].astype(np.uint64)))
    places, first, at, counts = np.unique(keys, axis=0, return_index=True, return_inverse=True, return_counts=True)
    ended = trace.column("sequence")[where] != UNFINISHED
    cycles = np.bincount(at.ravel(), trace.column("latency")[where] * ended, minlength=len(places))
    found = [
        Trapped(int(address), args[index, :3].astype("<u4").tobytes()[:_CODE_BYTES], int(vector), int(count),
                trace.nanoseconds(float(total)) / 1e9)
        for (address, vector), index, count, total in zip(places.tolist(), first, counts, cycles, strict=True)
    ]  # fmt: skip
    return sorted(found, key=lambda place: (-place.times, place.address))
