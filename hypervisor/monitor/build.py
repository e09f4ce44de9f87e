"""Compiles the monitor. The one place that knows how: the wheel, ``make`` and the tests all come here.

Needs the standard library only, since it runs while ring3 itself is being installed.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hypervisor.errors import RingError

SOURCES = Path(__file__).resolve().parent
MONITOR = SOURCES / "ring3-monitor"
COMPILERS = ("cc", "gcc", "clang")

# No libc, no floating point, no red zone: signal handlers and guest code use the same stack and registers.
# Position-independent code linked at a fixed address reaches everything relative to RIP, which is what
# allows the monitor to lie above 4 GiB.
FLAGS = (
    "-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-m64", "-ffreestanding", "-fpie", "-mgeneral-regs-only",
    "-mno-red-zone", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none",
)
LINK_FLAGS = ("-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096")


def compiler() -> list[str]:
    """The C compiler's command: ``$CC`` where set, else the first of cc, gcc and clang on the path.

    Raises RingError where there is none.
    """
    wanted = shlex.split(os.environ.get("CC", ""))
    for command in [wanted] if wanted else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    looked_for = f"$CC ({wanted[0]})" if wanted else ", ".join(COMPILERS)
    raise RingError(f"no C compiler found (looked for {looked_for}): the monitor is compiled during installation; "
                    "install one (Debian: apt-get install gcc) or name it in CC")


def inputs() -> list[Path]:
    """Every file that the monitor is made from, this one included, since it holds the flags."""
    return [path for pattern in ("*.c", "*.S", "*.h", "*.ld") for path in sorted(SOURCES.glob(pattern))] + [
        Path(__file__).resolve()]


def stale(out: Path) -> bool:
    """Whether ``out`` is missing or older than anything that it is made from."""
    return not out.exists() or any(path.stat().st_mtime >= out.stat().st_mtime for path in inputs())


def build(out: Path | None = None) -> Path:
    """Compile the monitor to ``out`` (default: beside its sources) unless that is up to date; returns the path.

    The file appears whole or not at all. Raises RingError without a compiler, on a host that is not x86-64,
    and where the compiler fails (its own messages go to standard error).
    """
    out = out or MONITOR
    if not stale(out):
        return out
    if platform.machine() not in ("x86_64", "AMD64"):
        raise RingError(f"cannot build the monitor for {platform.machine()}: ring3 runs on x86-64 Linux hosts only")
    out.parent.mkdir(parents=True, exist_ok=True)
    sources = [str(path) for path in inputs() if path.suffix in (".c", ".S")]
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".monitor-") as scratch:
        result = Path(scratch) / out.name
        command = [*compiler(), *FLAGS, *LINK_FLAGS, "-T", str(SOURCES / "monitor.ld"), "-o", str(result), *sources]
        run = subprocess.run(command, stdin=subprocess.DEVNULL)
        if run.returncode:
            raise RingError(f"compiling the monitor failed (exit status {run.returncode}): {shlex.join(command)}")
        os.replace(result, out)
    return out


if __name__ == "__main__":
    try:
        print(build())
    except RingError as error:
        sys.exit(f"ring3: {error}")
