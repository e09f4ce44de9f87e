"""What a system call, a trap and a branch cost on this host, measured with a few bytes of machine code.

An unported instruction costs a trap, a ported one does not: the ratio is why porting pays here.
"""

from __future__ import annotations

import ctypes
import mmap
import signal
import time

# getppid n times: mov $110,%eax; syscall; dec %rdi; jnz back; ret
_SYSCALLS = bytes.fromhex("b86e000000 0f05 48ffcf 75f4 c3")
# n traps: hlt (a general protection fault outside ring 0); dec %rdi; jnz back; ret
_TRAPS = bytes.fromhex("f4 48ffcf 75fa c3")
# the handler steps over the hlt: addq $1, 168(%rdx), which is RIP in the signal's ucontext; ret
_HANDLER = bytes.fromhex("488382a800000001 c3")
# n branches: dec %rdi; jnz back; ret
_BRANCHES = bytes.fromhex("48ffcf 75fb c3")
_SYSCALLS_AT, _TRAPS_AT, _HANDLER_AT = 0, 64, 128
_SA_SIGINFO = 4
_ROUNDS, _PER_ROUND = 5, 2000


class _SigAction(ctypes.Structure):
    """glibc's struct sigaction on x86-64."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def measure() -> tuple[float, float]:
    """Seconds for a system call and for a trap handled in the process. OSError where the host forbids it."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    for at, code in ((_SYSCALLS_AT, _SYSCALLS), (_TRAPS_AT, _TRAPS), (_HANDLER_AT, _HANDLER)):
        page[at : at + len(code)] = code
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(None, ctypes.c_uint64)
    libc = ctypes.CDLL(None, use_errno=True)
    ours, before = _SigAction(handler=start + _HANDLER_AT, flags=_SA_SIGINFO), _SigAction()
    syscall = _best(function(start + _SYSCALLS_AT))
    if libc.sigaction(signal.SIGSEGV, ctypes.byref(ours), ctypes.byref(before)):
        raise OSError(ctypes.get_errno(), "sigaction")
    try:
        trap = _best(function(start + _TRAPS_AT))
    finally:
        libc.sigaction(signal.SIGSEGV, ctypes.byref(before), None)
    return syscall, trap


def branch_seconds(count: int) -> float:
    """Seconds for each of `count` taken branches, the fastest of some rounds. OSError where the host forbids it."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page[: len(_BRANCHES)] = _BRANCHES
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return _best(ctypes.CFUNCTYPE(None, ctypes.c_uint64)(start), count)


def _best(run: ctypes._CFunctionType, count: int = _PER_ROUND) -> float:
    def once() -> float:
        start = time.perf_counter()
        run(count)
        return time.perf_counter() - start

    return min(once() for _ in range(_ROUNDS)) / count
