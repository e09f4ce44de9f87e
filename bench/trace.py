"""What tracing costs, how fast records can come, and how fast they are read."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.whole import WholeRun, wait_for
from hypercalls import by_name
from hypercalls.layout import GATES_OFFSET, HOLE
from hypervisor.console import NoConsole
from hypervisor.domain import Domain, DomainConfig
from hypervisor.trace import open_trace
from hypervisor.trace.reader import Condition
from hypervisor.trace.recording import TraceConfig

OVERHEAD_BOUND, RATE_BOUND, READ_BOUND, MEMORY_BOUND_MB = 1.25, 2e6, 500_000, 300
_LOAD, _SECONDS, _MIB = 0x10_0000, 10.0, 1 << 20
_FEW = 5_000_000  # calls that tell the speed
_MORE = 1.5  # by how much rates and times are aimed above their bounds: machines change their speed meanwhile
_PAUSE = 100  # turns of a loop between calls, to see what one costs
# Runs a command, and prints its seconds and the most KiB that it had. It is a small process of its own, since a process
# begins with the most that its parent had when it forked (getrusage(2), exec keeps it).
_MEASURE = """
import os, subprocess, sys, time
before = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(time.monotonic() - before, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
_POWER_OFF = bytes.fromhex("66ba0406 66b80020 66ef")  # out %ax,%dx: 0x2000 to 0x604


def _kernel(path: Path, calls: int, pause: int = 0) -> Path:
    """A flat program that makes so many null hypercalls, with so many turns of a loop between them."""
    gate = b"\x2e\xff\x15" + (HOLE + GATES_OFFSET + 4 * by_name["null"].number).to_bytes(4, "little")
    if pause:
        gate += b"\xba" + pause.to_bytes(4, "little") + b"\x4a\x75\xfd"  # mov $pause, %edx; 1: dec %edx; jnz 1b
    back = (-len(gate) - 7).to_bytes(4, "little", signed=True)
    path.write_bytes(b"\xb9" + calls.to_bytes(4, "little") + gate + b"\x49\x0f\x85" + back + _POWER_OFF)
    return path


def _record(kernel: Path, trace: Path) -> float:
    """Seconds in which it runs and is recorded."""
    with Domain(DomainConfig(kernel, memory=16 * _MIB, load_at=_LOAD, trace=TraceConfig(trace))) as domain:
        domain.build()
        before = time.monotonic()
        domain.run(NoConsole())
        return time.monotonic() - before


def _rate(folder: Path, table: Table) -> bool:
    """Records at the rate that is to be borne without loss, and as fast as they can come, for ten seconds or more."""
    fast = _record(_kernel(folder / "few", _FEW), folder / "trace") / _FEW
    slow = _record(_kernel(folder / "slow", _FEW, _PAUSE), folder / "trace") / _FEW
    pause = max(round((1 / (_MORE * RATE_BOUND) - fast) / (slow - fast) * _PAUSE), 0)
    borne, condition, seconds = _written(folder, round(_MORE * RATE_BOUND * _MORE * _SECONDS), pause)
    table.add_row("records written", f"{borne:,.0f}/s for {seconds:.1f} s, {condition.lost:,} lost",
                  f"{RATE_BOUND:,.0f}/s, 0")  # fmt: skip
    rate, fastest, seconds = _written(folder, round(_SECONDS * _MORE / fast), 0)
    table.add_row("as fast as they can come", f"{rate:,.0f}/s for {seconds:.1f} s, {fastest.lost:,} lost", "")
    return borne >= RATE_BOUND and not condition.lost


def _written(folder: Path, calls: int, pause: int) -> tuple[float, Condition, float]:
    """Records a second, how that went, and the seconds that it took."""
    seconds = _record(_kernel(folder / "many", calls, pause), folder / "trace")
    condition = open_trace(folder / "trace").condition
    return condition.records / seconds, condition, seconds


def _read(folder: Path, trace: Path, ring3: list[str], environment: dict[str, str], table: Table) -> bool:
    """Records a second by the commands, with all that starting them takes."""
    count = len(open_trace(trace))
    good = True
    for words in (["list", trace], ["list", trace, "--json"], ["summary", trace], ["diff", trace, trace]):
        name = f"ring3 trace {words[0]}{' --json' if words[-1] == '--json' else ''}"
        times, memory = [], 0.0
        for _ in range(3):
            command = [sys.executable, "-c", _MEASURE, *ring3, "trace", *map(str, words)]
            done = subprocess.run(command, stdout=subprocess.PIPE, env=environment)
            if done.returncode:
                raise SystemExit(f"{name} failed")
            seconds, most = map(float, done.stdout.split())
            times.append(seconds)
            memory = max(memory, most / 1024)
        read = count * (2 if words[0] == "diff" else 1)
        table.add_row(name, f"{read / min(times):,.0f}/s, {memory:.0f} MB",
                      f"{READ_BOUND:,}/s, {MEMORY_BOUND_MB} MB")  # fmt: skip
        good = good and read / min(times) >= READ_BOUND and memory < MEMORY_BOUND_MB
    return good


def _whole(run: WholeRun, command: list[str], environment: dict[str, str]) -> float:
    """Seconds from typing the command to its end; guest and recorder may use all CPUs, as users have it."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=environment)  # fmt: skip
    seen = bytearray()
    try:
        wait_for(process, run.prompt, seen)
        before = time.monotonic()
        seen.clear()
        assert process.stdin
        process.stdin.write(run.command.encode() + b"\n")
        process.stdin.flush()
        wait_for(process, run.until or run.prompt, seen)
        return time.monotonic() - before
    finally:
        process.terminate()
        process.wait()


def _overhead(run: WholeRun, ring3: list[str], environment: dict[str, str], options: Namespace, folder: Path,
              table: Table) -> tuple[bool, Path]:  # fmt: skip
    """The kernel's own work, with and without everything being recorded, in turn."""
    trace, disk = folder / "whole", folder / "disk"
    figures: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.rounds):
        for traced in (False, True):
            arguments = []
            if options.disk:
                shutil.copy(options.disk, disk)
                arguments = ["--disk", str(disk)]
            arguments += ["--trace", str(trace)] if traced else []
            command = [*ring3, "run", str(options.ported), *arguments]
            figures[traced].append(_whole(run, command, environment))
    plain, traced_seconds = (statistics.median(figures[traced]) for traced in (False, True))
    factor = traced_seconds / plain
    lost = open_trace(trace).condition.lost
    table.add_row(run.command, f"{plain:.3f} s, recorded {traced_seconds:.3f} s: x{factor:.2f}, {lost:,} lost",
                  f"x{OVERHEAD_BOUND}")  # fmt: skip
    return factor <= OVERHEAD_BOUND, trace


def measure_trace(run: WholeRun | None, ring3: list[str], options: Namespace, console: Console) -> bool:
    """Measure and print; whether the bounds hold. `run`: what a kernel given by the options is to do, if one is."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    table = Table("tracing", "measured", "bound")
    good = True
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        good = _rate(folder, table) and good
        _record(_kernel(folder / "read", 2_000_000), folder / "trace")
        trace = folder / "trace"
        if run and run.command:
            fast, trace = _overhead(run, ring3, environment, options, folder, table)
            good = fast and good
        good = _read(folder, trace, ring3, environment, table) and good
    console.print(table)
    return good
