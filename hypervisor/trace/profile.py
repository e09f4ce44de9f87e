"""What of a trace a porter can use: the places in the kernel whose instructions trapped and were emulated."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hypercalls.structs import TraceKind
from hypervisor.trace.callers import USER_RING
from hypervisor.trace.format import TraceError
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
    """The file that was recorded. Raises TraceError where it is gone, or another one is there."""
    path = Path(trace.header.kernel)
    try:
        changed = zlib.crc32(path.read_bytes()) != trace.header.kernel_crc
    except OSError as error:
        raise TraceError(f"kernel {path}, of which {trace.path} tells, cannot be read ({error.strerror}): build it and "
                         f"record a run of it") from error
    if changed:
        raise TraceError(f"kernel {path} has changed since {trace.path} was recorded: record a run of the new one")
    return path


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
