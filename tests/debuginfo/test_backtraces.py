"""Backtraces of real kernels agree with gdb's and, where frame pointers are kept, with the chain of these."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from debuginfo.unwind import End, State, Unwinder
from hypervisor.trace.callers import Callers
from hypervisor.trace.reader import open_trace
from tests.debuginfo import gdb
from tests.debuginfo.states import distinct, record
from tests.samples import kernels

pytestmark = pytest.mark.usefixtures("monitor")
AT_LEAST = 100


@pytest.fixture(scope="module")
def recorded(
    sample_kernel: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, monitor: Path
) -> tuple[Path, Path]:
    kernel = sample_kernel("preempt", ported=True)
    return kernel, record(kernel, tmp_path_factory.mktemp("preempt") / "trace")


def shown(kernel: Path, trace: Path, states: list[State]) -> list[list[tuple[str, str, int]]]:
    """Ours: function, file name and line of each frame, inlined functions as frames of their own."""
    callers = Callers(open_trace(trace).header)
    found = []
    for state in states:
        frames = []
        for index, address in enumerate(callers.unwinder.backtrace(state).addresses):
            line = callers.line(address - (index > 0))
            names = callers.functions(address, returns=index > 0)
            frames += [(names[0], Path(line[0]).name if line else "", line[1] if line else 0)]
            frames += [(name, "", -1) for name in names[1:]]  # where it was inlined is told by its caller's line
        found.append(frames)
    return found


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed; the frame pointers below stand in for it")
def test_backtraces_are_gdbs(recorded: tuple[Path, Path], tmp_path: Path) -> None:
    kernel, trace = recorded
    states = distinct(trace, AT_LEAST)
    assert len(states) == AT_LEAST
    wrong = []
    for state, ours, theirs in zip(states, shown(kernel, trace, states), gdb.backtraces(kernel, states, tmp_path),
                                   strict=True):  # fmt: skip
        # gdb goes on where no code is, and into assembly that it cannot unwind.
        named = [frame for frame in theirs if frame[1]]
        pairs = list(zip(ours, named, strict=False))
        same = all(mine[0] == other[1] and (mine[2] < 0 or mine[2] == other[3]) for mine, other in pairs)
        whole = len(named) <= len(ours) or Unwinder(kernel).backtrace(state).end is not End.OUTERMOST
        if not same or not whole or not pairs:
            wrong.append((hex(state.eip), ours, theirs))
    assert wrong == []


def test_backtraces_are_the_chain_of_frame_pointers(
    tmp_path: Path
) -> None:
    """EBP chains, where the compiler was told to keep them, share nothing with call-frame information."""
    sources = shutil.copytree(kernels.SOURCES, tmp_path / "sources")
    with (sources / "preempt" / "Makefile").open("a") as makefile:
        makefile.write("\nCFLAGS += -fno-omit-frame-pointer\n")
    kernel = kernels.make("preempt", tmp_path, ported=True, tree=sources)
    trace = record(kernel, tmp_path / "trace")
    unwinder = Unwinder(kernel)
    compared = 0
    for state in distinct(trace, 300):
        ours = unwinder.backtrace(state).addresses
        chain, ebp = [], state.ebp
        while 0 <= ebp - state.esp <= len(state.stack) - 8:
            ebp_next, back = struct.unpack_from("<II", state.stack, ebp - state.esp)
            chain.append(back)
            if ebp_next <= ebp:
                break
            ebp = ebp_next
        # The innermost function may not have set up its frame.
        common = [address for address in ours[1:] if address in chain]
        assert common == [address for address in chain if address in ours[1:]]
        compared += len(common)
    assert compared >= AT_LEAST
