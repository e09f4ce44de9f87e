"""Can this host run guests, and fast? One function per question, each with what to change.

The questions are those of the monitor (hypervisor/monitor/main.c, sandbox.c) and the engine, asked
without starting a guest; `start_guest` then does start one.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypercalls.layout import SLIDE
from hypervisor.cpu_model import host_features
from hypervisor.errors import RingError
from hypervisor.hostcost import branch_seconds, measure
from native.build import BuildError, compiler

if TYPE_CHECKING:
    from hypervisor.outcome import Outcome

OK, SLOW, LACKS, FAIL = "ok", "slow", "lacks", "fail"  # lacks: guests run, something else does not

_MIN_KERNEL = (5, 3)  # pidfd_open
_SYS_MODIFY_LDT, _SYS_SECCOMP = 154, 317
_SECCOMP_GET_ACTION_AVAIL, _SECCOMP_RET_TRAP = 2, 0x0003_0000
_MIN_MAPS = 65530  # Linux's default of vm.max_map_count
_DEAR_TRAP = 8e-6


@dataclass(frozen=True)
class Finding:
    """The answer to one question: verdict, what was found and, unless all is well, what to change."""

    question: str
    verdict: str
    found: str
    remedy: str = ""


def _kernel() -> Finding:
    release = platform.release()
    version = tuple(int(part) for part in release.partition("-")[0].split(".")[:2] if part.isdigit())
    verdict = OK if platform.system() == "Linux" and version >= _MIN_KERNEL else FAIL
    return Finding("host kernel", verdict, f"{platform.system()} {release}", "use Linux 5.3 or later")


def _architecture() -> Finding:
    machine = platform.machine()
    return Finding("architecture", OK if machine == "x86_64" else FAIL, machine, "use an x86-64 host")


def _processor() -> Finding:
    has_xsave = "xsave" in host_features()
    return Finding("processor", OK if has_xsave else FAIL, "with XSAVE" if has_xsave else "without XSAVE",
                   "use a processor from 2011 or later; in a virtual machine, one that shows XSAVE to it "
                   "(QEMU: -cpu host or max), without the kernel parameter noxsave")  # fmt: skip


def _syscall(number: int, *arguments: int | ctypes._CArgObject) -> int:
    """Raw system call; negative errno on failure."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    return -ctypes.get_errno() if result < 0 else result


def _ldt() -> Finding:
    buffer = ctypes.create_string_buffer(16)
    result = _syscall(_SYS_MODIFY_LDT, 0, ctypes.byref(buffer), 16)
    return Finding(
        "modify_ldt", OK if result >= 0 else FAIL, "available" if result >= 0 else os.strerror(-result),
        "the kernel needs CONFIG_MODIFY_LDT_SYSCALL and a container must not filter modify_ldt",
    )  # fmt: skip


def _seccomp() -> Finding:
    action = ctypes.c_uint32(_SECCOMP_RET_TRAP)
    result = _syscall(_SYS_SECCOMP, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action))
    return Finding(
        "seccomp filters", OK if result == 0 else FAIL, "available" if result == 0 else os.strerror(-result),
        "the kernel needs CONFIG_SECCOMP_FILTER: no guest runs without its sandbox",
    )  # fmt: skip


def _address_zero() -> Finding:
    minimum = Path("/proc/sys/vm/mmap_min_addr").read_text().strip()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    fixed = 0x10
    at = libc.mmap(0, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | fixed, -1, 0)
    if not at:
        libc.munmap(ctypes.c_void_p(0), ctypes.c_size_t(mmap.PAGESIZE))
        return Finding("address 0", OK, f"can be mapped (vm.mmap_min_addr {minimum})")
    if int(minimum) <= SLIDE:
        return Finding("address 0", OK, f"cannot be mapped (vm.mmap_min_addr {minimum}): guests slide by 64 KiB")
    return Finding("address 0", FAIL, f"vm.mmap_min_addr is {minimum}", f"sysctl vm.mmap_min_addr={SLIDE} or less")


def _maps() -> Finding:
    count = int(Path("/proc/sys/vm/max_map_count").read_text())
    return Finding(
        "vm.max_map_count", OK if count >= _MIN_MAPS else SLOW, str(count),
        f"sysctl vm.max_map_count={_MIN_MAPS}: below, large guests flush their virtual TLB more often",
    )  # fmt: skip


def _descriptors() -> Finding:
    try:
        os.close(os.memfd_create("ring3-doctor", os.MFD_CLOEXEC))
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError) as error:
        return Finding("memfd and pidfd", FAIL, str(error), "use Linux 5.3 or later, unfiltered by a container")
    return Finding("memfd and pidfd", OK, "available")


def _processors() -> Finding:
    allowed = sorted(os.sched_getaffinity(0))
    found = f"{len(allowed)} of {os.cpu_count()} may be used"
    return Finding("CPUs", OK, found)


def _cost() -> Finding:
    try:
        syscall, trap = measure()
    except OSError as error:
        return Finding("cost of a trap", LACKS, f"cannot be measured: {error}", "nothing: guests do not need it")
    found = f"{trap * 1e6:.1f} us, a system call {syscall * 1e6:.2f} us"
    return Finding(
        "cost of a trap", OK if trap < _DEAR_TRAP else SLOW, found,
        "page faults of guests and unported instructions cost that much; a host that is not nested is faster",
    )  # fmt: skip


def _compiler() -> Finding:
    remedy = "needed to build kernels, not to run them (Debian: apt-get install gcc-multilib)"
    try:
        command = compiler()
    except BuildError as error:
        return Finding("compiler for -m32", LACKS, str(error).partition(":")[0], remedy)
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [*command, "-m32", "-ffreestanding", "-x", "c", "-c", "-o", f"{scratch}/out.o", "-"],
            input=b"int x;", capture_output=True, check=False,
        )  # fmt: skip
    works = run.returncode == 0
    return Finding(
        "compiler for -m32", OK if works else LACKS, " ".join(command) + ("" if works else " cannot -m32"), remedy
    )


# A multiboot image by address fields, but for its code.
_LOAD = 0x10_0000
_MAGIC, _FLAGS = 0x1BADB002, 0x1_0000
_HEADER = struct.pack("<8I", _MAGIC, _FLAGS, -(_MAGIC + _FLAGS) & 0xFFFF_FFFF, _LOAD, _LOAD, 0, 0, _LOAD + 32)
_POWER_OFF = bytes.fromhex("66ba0406 66b80020 66ef f4")  # mov $0x604,%dx; mov $0x2000,%ax; outw; hlt
_BRANCHES = 16_000_000
_LOOP = b"\xb9" + _BRANCHES.to_bytes(4, "little") + bytes.fromhex("49 75fd")  # mov $n,%ecx; dec %ecx; jnz back
_MUCH_SLOWER, _NOISE = 3, 1e-9  # of a branch in a guest, beside the host's: times, and seconds


class _Silent:
    """A console for a guest that prints nothing."""

    def open(self, domain: object) -> None: ...

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


def _run(code: bytes) -> tuple[float, Outcome]:
    """Seconds that a guest with this code takes, and how it ends. RingError where it does not start."""
    from hypervisor.domain import Domain, DomainConfig  # the rest of the VMM, if the host got that far

    with tempfile.TemporaryDirectory() as scratch:
        kernel = Path(scratch, "kernel")
        kernel.write_bytes(_HEADER + code)
        start = time.perf_counter()
        with Domain(DomainConfig(kernel, memory=4 << 20)) as domain:
            domain.build()
            result = domain.run(_Silent())
        return time.perf_counter() - start, result


def _start_guest() -> Finding:
    from hypervisor.outcome import Ending

    try:
        took, result = _run(_POWER_OFF)
    except RingError as error:
        return Finding("a guest", FAIL, "does not start", str(error))
    if result.ending is not Ending.POWEROFF:
        return Finding("a guest", FAIL, f"ended by {result.cause}", "report this as a bug, with this output")
    return Finding("a guest", OK, f"started and ended in {took * 1e3:.0f} ms")


def _guest_code() -> Finding:
    """Whether guest code is as fast as the host's. Some processors are slow where code segments have a base."""
    from hypervisor.monitor.build import MONITOR

    question = "guest code"
    try:
        host = branch_seconds(_BRANCHES)
        rounds = [(_run(_POWER_OFF)[0], _run(_LOOP + _POWER_OFF)[0]) for _ in range(3)]
    except (RingError, OSError) as error:
        return Finding(question, LACKS, f"cannot be measured ({error})", "see what is said above")
    guest = (min(loop for _, loop in rounds) - min(plain for plain, _ in rounds)) / _BRANCHES
    found = f"a branch takes {max(guest, 0) * 1e9:.1f} ns, the host's {host * 1e9:.1f} ns"
    return Finding(
        question, SLOW if guest > _MUCH_SLOWER * host + _NOISE else OK, found,
        f"where guests slide, this processor runs them slowly: setcap cap_sys_rawio+ep {MONITOR} (as root), so that "
        "they need not, or sysctl vm.mmap_min_addr=0, or run ring3 as root",
    )  # fmt: skip


_CHECKS: tuple[Callable[[], Finding], ...] = (
    _kernel, _architecture, _processor, _ldt, _seccomp, _address_zero, _maps, _descriptors, _processors, _cost,
    _compiler, _start_guest, _guest_code,
)  # fmt: skip


def findings() -> Iterator[Finding]:
    """Ask every question, in order; a wrong architecture ends the list."""
    for check in _CHECKS:
        finding = check()
        yield finding
        if check is _architecture and finding.verdict == FAIL:
            return
