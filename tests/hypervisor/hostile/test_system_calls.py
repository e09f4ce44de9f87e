"""64-bit guest code with host system calls: none reaches outside the guest's own process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from hypercalls import layout
from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending
from tests.hypervisor.hostile import code, stage
from tests.hypervisor.hostile.processes import limited, living, slide_of

RESULTS = 0x60_0000  # guest-physical: one word for each call, set where the call came back
TEXT = 0x50_0000  # a path
CALLS = 470  # x86-64 system calls known to Linux 6.18
ENDLESS = {15: "rt_sigreturn", 60: "exit", 231: "exit_group"}  # do not come back where they are allowed
SECONDS = 10.0

# Linux exempts these two of its own trampolines from seccomp (6.12, kernel/seccomp.c); elsewhere they fail.
EXEMPT = {"uretprobe": 335, "uprobe": 336}
# Calls that the filter lets through whatever their arguments: they act on the calling process alone.
OWN_AFFAIRS = {"munmap": 11, "getpid": 39, "modify_ldt": 154, "futex": 202, "timer_settime": 223,
               "clock_gettime": 228, "ppoll": 271}  # fmt: skip

O_CREAT_WRONLY = 0o101
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 1, 2, 0x10, 0x20
READ_WRITE = 3
FORBIDDEN: dict[str, tuple[int, ...]] = {
    "read terminal": (0, 0, TEXT, 1),
    "write terminal": (1, 1, TEXT, 1),
    "write errors": (1, 2, TEXT, 1),
    "write RAM file": (1, layout.RAM_FD, TEXT, 1),
    "write state file": (1, layout.STATE_FD, TEXT, 1),
    "answer itself": (1, layout.RESUME_FD, TEXT, 8),
    "open": (2, TEXT, O_CREAT_WRONLY, 0o600),
    "openat": (257, -100, TEXT, O_CREAT_WRONLY, 0o600),
    "map above the guest": (9, 0x1_0000_0000, 4096, READ_WRITE, MAP_SHARED | MAP_FIXED, layout.RAM_FD, 0),
    "map anonymous memory": (9, 0x4000_0000, 4096, READ_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0),
    "map where it likes": (9, 0, 4096, READ_WRITE, MAP_SHARED, layout.RAM_FD, 0),
    "map another file": (9, 0x4000_0000, 4096, READ_WRITE, MAP_SHARED | MAP_FIXED, 0, 0),
    "map long": (9, 0x4000_0000, 1 << 32, READ_WRITE, MAP_SHARED | MAP_FIXED, layout.RAM_FD, 0),
    "unmap the monitor": (11, 0x1_0000_0000, 1 << 20),
    "mprotect": (10, 0x1_0000_0000, 4096, 7),
    "socket": (41, 1, 1, 0),
    "clone": (56, 17, 0, 0, 0, 0),
    "fork": (57,),
    "vfork": (58,),
    "execve": (59, TEXT, 0, 0),
    "ptrace parent": (101, 16, os.getppid(), 0, 0),
    "ftruncate RAM": (77, layout.RAM_FD, 0),
    "prctl": (157, 1, 0),
    "process_vm_writev": (311, os.getpid(), TEXT, 1, TEXT, 1, 0),
    "clone3": (435, TEXT, 88),
    "fork by its x32 number": (0x4000_0000 | 57,),
}


def returned(calls: Sequence[tuple[int, ...]], slide: bool, path: Path) -> set[int]:
    """Positions of the calls that came back to a guest which made them all, one after another."""
    pieces = [
        stage.in_long_mode(code.host_call(*call) + code.store64_low(layout.RAM_BASE + RESULTS + 4 * number, 1))
        for number, call in enumerate(calls)
    ]
    kernel = stage.write_elf(path / "calls.elf", stage.image(pieces, slide_of(slide)))
    with Domain(DomainConfig(kernel, memory=8 * MIB, slide=slide)) as domain:
        domain.build()
        domain.memory.write(TEXT, str(path / "made").encode() + b"\0")
        result = limited(SECONDS, domain)
        assert result.ending is Ending.EXIT, result
        assert domain.control.exceptions[6] >= len(calls) - domain.memory.read(RESULTS, 4 * len(calls)).count(1)
        assert not living(domain.engine.pids[0])
        return {number for number in range(len(calls)) if domain.memory.read(RESULTS + 4 * number, 1) == b"\1"}


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
def test_calls_by_number(slide: bool, tmp_path: Path, monitor: Path) -> None:
    """Every system call there is, with arguments that name nothing."""
    numbers = [number for number in range(CALLS) if number not in ENDLESS]
    came_back = {numbers[at] for at in returned([(n, 0, 0, -1, 0, 0, 0) for n in numbers], slide, tmp_path)}
    assert came_back - set(EXEMPT.values()) == set(OWN_AFFAIRS.values())


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
def test_calls_that_would_reach_outside(slide: bool, tmp_path: Path, monitor: Path) -> None:
    """Calls with arguments with which they would do harm, had they come through."""
    killers = [(62, os.getpid(), 9), (234, os.getpid(), os.getpid(), 9), (200, os.getpid(), 9)]
    came_back = returned([*FORBIDDEN.values(), *killers], slide, tmp_path)
    assert [list(FORBIDDEN)[at] for at in sorted(came_back)] == []
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "endings"),
    [("exit_group", {Ending.MONITOR}), ("exit", {Ending.EXIT}), ("rt_sigreturn", {Ending.EXIT, Ending.MONITOR})],
)
def test_calls_that_end_the_process(name: str, endings: set[Ending], tmp_path: Path, monitor: Path) -> None:
    """Where a guest ends its own process (the filter refuses exit, which would end a thread), the VMM says so."""
    number = next(number for number, call in ENDLESS.items() if call == name)
    piece = stage.in_long_mode(code.host_call(number, 0, 0, 0))
    kernel = stage.write_elf(tmp_path / "end.elf", stage.image([piece], slide_of(False)))
    with Domain(DomainConfig(kernel, memory=8 * MIB)) as domain:
        domain.build()
        result = limited(SECONDS, domain)
        assert result.ending in endings, result
        assert result.ending is Ending.EXIT or "died" in result.cause or "gave up" in result.cause
        assert not living(domain.engine.pids[0])
