"""The host's time-stamp counter, in which trace records are timed.

Python has no access to it, so the instruction comes with us: a page of machine code, called through ctypes.
"""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable
from functools import cache

from hypervisor.errors import RingError

_READ_TSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl $32,%rdx; or %rdx,%rax; ret
_MEASURING_SECONDS = 0.005
_TRIES = 5


@cache
def _code() -> tuple[mmap.mmap, Callable[[], int]]:
    """The page, which must live as long as it may be called, and the function in it."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        raise RingError(f"this host refuses executable memory ({error.strerror}); run 'ring3 doctor'") from error
    page.write(_READ_TSC)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return page, ctypes.CFUNCTYPE(ctypes.c_uint64)(address)


def read_tsc() -> int:
    """The time-stamp counter now, in cycles (SDM vol. 3, 18.17). RingError where the host does not let us."""
    return _code()[1]()


def _pair() -> tuple[int, int]:
    """TSC and CLOCK_MONOTONIC (ns) of one moment: of several tries, the one least interrupted."""
    found = []
    for _ in range(_TRIES):
        before = time.monotonic_ns()
        tsc = read_tsc()
        after = time.monotonic_ns()
        found.append((after - before, tsc, (before + after) // 2))
    _, tsc, nanoseconds = min(found)
    return tsc, nanoseconds


@cache
def tsc_hz() -> int:
    """Cycles per second of the TSC, measured once against CLOCK_MONOTONIC; takes 5 ms, right to some 20 ppm."""
    first_tsc, first_ns = _pair()
    time.sleep(_MEASURING_SECONDS)
    last_tsc, last_ns = _pair()
    return round((last_tsc - first_tsc) * 1_000_000_000 / (last_ns - first_ns))
