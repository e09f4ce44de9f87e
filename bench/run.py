"""Measures ring3 against this host: ``make bench``, or ``python bench/run.py --help``.

Micro-benchmarks: a guest kernel (guest/) and a host program (host.c) run in turn on one CPU, several rounds;
each figure is the median of its rounds and is compared with the figure of the host, or of user-mode Linux where
that is installed, in the same run. With a kernel of the reader's, ported and unported, whole runs are compared
with QEMU (``--ported``, ``--unported``).
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.disk import read_disk
from bench.trace import measure_trace
from bench.tree import port_a_tree
from bench.uml import user_mode_linux
from bench.whole import WholeRun, compare_whole
from bench.wrapper import build_wrapped, port_compiler_output
from native.build import compiler

HERE = Path(__file__).resolve().parent
RING3 = [sys.executable, "-m", "hypervisor.cli.main"]


@dataclass(frozen=True)
class Bound:
    """`guest` is to cost at most `factor` times `host`, or `limit_ns`."""

    title: str
    guest: str
    host: str = ""
    factor: float = 0.0
    limit_ns: float = 0.0


BOUNDS = (
    Bound("null hypercall", "null", "getppid", 0.5),
    Bound("system call, engine alone", "bare_call", "getppid", 1.2),
    Bound("system call, with a kernel's entry and exit", "full_call", "getppid", 3.0),
    Bound("cli and sti", "cli_sti", limit_ns=3.0),
    Bound("CR3 load, another address space", "cr3", "futex", 1.5),
    Bound("compute loop, per step", "compute", "compute", 1 / 0.98),
    Bound("exit to the VMM (unknown port)", "exit", limit_ns=10_000.0),
    Bound("write of 80 bytes to the console", "write", "UML", 1.0),
)


def parse(output: str) -> dict[str, list[float]]:
    """Lines "NAME OPERATIONS CYCLES" to cycles per operation."""
    figures: dict[str, list[float]] = {}
    for line in output.splitlines():
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            figures.setdefault(parts[0], []).append(int(parts[2]) / int(parts[1]))
    return figures


def build(scratch: Path) -> tuple[Path, Path]:
    """The host program and the guest kernel, built into `scratch`."""
    host = scratch / "host"
    subprocess.run([*compiler(), "-O2", "-o", str(host), str(HERE / "host.c")], check=True)
    wrapper = " ".join([*RING3, "cc", *compiler()])
    subprocess.run(["make", "-s", "-C", str(HERE / "guest"), f"CC={wrapper}", f"OUT={scratch}"], check=True,
                   env=environment())
    return host, scratch / "micro.elf"


def environment() -> dict[str, str]:
    """The caller's environment, with this tree's modules first."""
    return {**os.environ, "PYTHONPATH": str(HERE.parent)}


def measure(command: list[str], cpu: int) -> dict[str, list[float]]:
    """Run on one CPU and parse what it prints."""
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=True,
                         stdin=subprocess.DEVNULL, env=environment(),
                         preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    return parse(run.stdout)


def micro(rounds: int, cpu: int, console: Console) -> bool:
    """Guest and host in turn; prints the table; whether every bound holds."""
    guest: dict[str, list[float]] = {}
    host: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        host_program, kernel = build(Path(directory))
        commands = [(host, [str(host_program)]), (guest, [*RING3, "run", str(kernel)])]
        uml = user_mode_linux(Path(directory), console)
        if uml:
            commands.append((host, uml))
        for _ in range(rounds):
            for figures, command in commands:
                for name, values in measure(command, cpu).items():
                    figures.setdefault(name, []).append(statistics.median(values))
    ns = 1 / statistics.median(host["tsc"])
    # The loop around each inline pair is no part of it.
    guest["cli_sti"] = [both - empty for both, empty in zip(guest["cli_sti"], guest["empty"], strict=True)]
    table = Table("what", "guest ns", "host ns", "ratio", "bound", "")
    met = True
    for bound in BOUNDS:
        if bound.host and bound.host not in host:
            continue
        mine = statistics.median(guest[bound.guest]) * ns
        theirs = statistics.median(host[bound.host]) * ns if bound.host else 0.0
        ok = mine <= theirs * bound.factor if bound.host else mine <= bound.limit_ns
        met &= ok
        table.add_row(bound.title, f"{mine:.1f}", f"{theirs:.1f} ({bound.host})" if bound.host else "",
                      f"{mine / theirs:.2f}" if bound.host else "",
                      f"{bound.factor:.2f} x" if bound.host else f"{bound.limit_ns:.0f} ns", "ok" if ok else "MISSED")
    console.print(table)
    return met


def launch(rounds: int, console: Console) -> bool:
    """How long the engine alone takes from its start to the guest's end (a guest that only powers off)."""
    from bench.launch import engine_milliseconds

    figures = [engine_milliseconds() for _ in range(rounds)]
    median = statistics.median(figures)
    console.print(f"engine alone, start to a guest's power-off: {median:.1f} ms (bound 30 ms) "
                  f"{'ok' if median < 30 else 'MISSED'}")
    return median < 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--ported", type=Path, help="a kernel built with ring3 cc")
    parser.add_argument("--unported", type=Path, help="the same kernel as its own build makes it, for QEMU")
    parser.add_argument("--disk", type=Path, help="its second disk; each run gets a copy")
    parser.add_argument("--unported-disk", type=Path, help="the disk for QEMU, if it holds unported programs")
    parser.add_argument("--prompt", default="$ ", help="what the console shows when it takes commands")
    parser.add_argument("--type", default="", help="command to type there")
    parser.add_argument("--until", default="", help="what ends the measurement")
    parser.add_argument("--build", type=Path, metavar="DIR",
                        help="sources of a kernel, to build with and without the wrapper; its makefile must know clean")
    parser.add_argument("--make", type=shlex.split, default=[], metavar="ARGS", help="arguments for make there")
    options = parser.parse_args()
    console = Console()
    began = time.monotonic()
    met = micro(options.rounds, options.cpu, console)
    met &= launch(options.rounds, console)
    met &= read_disk(RING3, measure, options.rounds, options.cpu, console)
    met &= port_a_tree(RING3, console)
    met &= port_compiler_output(options.rounds, console)
    met &= build_wrapped(options.rounds, options.build, options.make, console)
    runs = WholeRun(options.prompt, options.type, options.until) if options.ported else None
    met &= measure_trace(runs, RING3, options, console)
    if runs:
        if not shutil.which("qemu-system-i386"):
            console.print("no qemu-system-i386 on the path: the kernel is measured alone")
        met &= compare_whole(runs, RING3, options, console)
    console.print(f"{time.monotonic() - began:.0f} s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
