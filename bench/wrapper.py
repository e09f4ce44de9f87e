"""What porting costs a build: the compiler wrapper beside the bare compiler, and the porter on compiler output."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench.tree_source import write_tree
from porter.asm_port import port_assembly
from porter.stage.build import build

COMPILER = "gcc"
FLAGS = "-m32 -O2 -g -ffreestanding -fno-pie"
LINES = 20_000  # of the generated tree
SPEED_BOUND = 20.0  # MB/s on one processor
OVERHEAD_BOUND = 1.3
_COPIES = 8  # of the compiler's output, for the compiled stage, whose start is not to count
_MAKEFILE = """\
objects := $(addsuffix .o,$(wildcard */*.[csS]))
all: $(objects)
$(objects): %.o: %
\t$(CC) {flags} -c -o $@ $<
clean:
\trm -f $(objects)
"""


def _processor_seconds() -> float:
    """Of this process and its children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _speed(size: int, rounds: int, work: Callable[[], object]) -> float:
    """MB/s on one processor, where `work` goes through `size` bytes; the median of the rounds."""
    figures = []
    for _ in range(rounds):
        began = _processor_seconds()
        work()
        figures.append(size / 1e6 / (_processor_seconds() - began))
    return statistics.median(figures)


def _told(what: str, figure: float, unit: str, met: bool, bound: float, console: Console) -> bool:
    console.print(f"{what}: {figure:.2f} {unit} (bound {bound:g}) {'ok' if met else 'MISSED'}")
    return met


def port_compiler_output(rounds: int, console: Console) -> bool:
    """How fast compiler output is ported: by the porter, and by the compiled stage, which a build runs."""
    with tempfile.TemporaryDirectory() as directory:
        root, whole = Path(directory), Path(directory) / "all.s"
        write_tree(root / "src", LINES)
        texts = [subprocess.run([COMPILER, *FLAGS.split(), "-S", "-o", "-", str(path)], check=True,
                                capture_output=True, text=True).stdout for path in sorted(root.glob("src/*/*.c"))]
        whole.write_text("".join(texts) * _COPIES)
        environment = {**os.environ, "XDG_CACHE_HOME": directory, "RING3_PYTHON": sys.executable,
                       "RING3_AS": shutil.which("true") or "true"}
        stage = str(build())

        def by_porter() -> None:
            for text in texts:
                port_assembly(text, "x.s")

        def by_stage() -> None:
            subprocess.run(["ring3-as", "--32", str(whole)], executable=stage, env=environment, check=True)

        met = True
        for name, size, work in (("the porter", sum(map(len, texts)), by_porter),
                                 ("the compiled stage", whole.stat().st_size, by_stage)):
            work()  # statements that are new are parsed once, and remembered
            speed = _speed(size, rounds, work)
            met &= _told(f"compiler output through {name}", speed, "MB/s", speed >= SPEED_BOUND, SPEED_BOUND, console)
    return met


class _Build:
    """A directory with a makefile, built with the compiler alone or through the wrapper."""

    def __init__(self, directory: Path, arguments: list[str], scratch: Path) -> None:
        self._make, self._arguments = ["make", "-s", "-C", str(directory)], arguments
        self._wrapper = scratch / "ring3-cc"
        self._wrapper.symlink_to(build())
        self._environment = {**os.environ, "XDG_CACHE_HOME": str(scratch), "RING3_PYTHON": sys.executable}

    def _run(self, arguments: list[str]) -> None:
        run = subprocess.run([*self._make, *arguments], env=self._environment, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(f"{shlex.join([*self._make, *arguments])} failed: {run.stderr}")

    def timed(self, wrapped: bool) -> tuple[float, float]:
        """Build all of it; seconds by the clock, and of processors."""
        self._run(["clean"])
        processors, began = _processor_seconds(), time.monotonic()
        self._run([*self._arguments, f"CC={self._wrapper} {COMPILER}" if wrapped else f"CC={COMPILER}"])
        return time.monotonic() - began, _processor_seconds() - processors


def _compare(name: str, builds: _Build, rounds: int, console: Console) -> bool:
    builds.timed(False)  # so that the host has all files in memory
    first = builds.timed(True)
    pairs = [(builds.timed(False), builds.timed(True)) for _ in range(rounds)]
    bare, wrapped = ([statistics.median(pair[which][kind] for pair in pairs) for kind in range(2)]
                     for which in range(2))
    console.print(f"build of {name}: {bare[0]:.2f} s, {bare[1]:.2f} s of processors; through the wrapper "
                  f"{wrapped[0]:.2f} s, {wrapped[1]:.2f} s; the first time {first[0]:.2f} s, {first[1]:.2f} s")
    ratio = wrapped[0] / bare[0]
    return _told("through the wrapper it takes", ratio, "times as long", ratio <= OVERHEAD_BOUND, OVERHEAD_BOUND,
                 console)


def build_wrapped(rounds: int, kernel: Path | None, arguments: list[str], console: Console) -> bool:
    """Builds with and without the wrapper, in turn: of a generated tree, and of a kernel of the reader's."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "src"
        write_tree(tree, LINES)
        (tree / "Makefile").write_text(_MAKEFILE.format(flags=FLAGS))
        met = _compare("a generated tree", _Build(tree, [], Path(directory)), rounds, console)
    if kernel:
        with tempfile.TemporaryDirectory() as directory:
            met &= _compare(str(kernel), _Build(kernel, arguments, Path(directory)), rounds, console)
    return met
