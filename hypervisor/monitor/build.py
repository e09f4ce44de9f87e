"""Compiles the monitor."""

from __future__ import annotations

import sys
from pathlib import Path

from hypervisor.errors import RingError
from native.build import BuildError, Program

SOURCES = Path(__file__).resolve().parent
MONITOR = SOURCES / "ring3-monitor"

# No libc, no floating point, no red zone: signal handlers and guest code use the same stack and registers.
# Position-independent code linked at a fixed address reaches everything relative to RIP, which is what
# allows the monitor to lie above 4 GiB.
FLAGS = (
    "-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-m64", "-ffreestanding", "-fpie", "-mgeneral-regs-only",
    "-mno-red-zone", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none",
)
LINK_FLAGS = ("-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096")


def program() -> Program:
    """The monitor, as the sources are now."""
    return Program("the monitor", Path(__file__).resolve(), SOURCES,
                   (*FLAGS, *LINK_FLAGS, "-T", str(SOURCES / "monitor.ld")))


def build(out: Path | None = None) -> Path:
    """Compile the monitor to ``out`` (default: beside its sources) unless that is up to date. Raises RingError."""
    try:
        return program().build(out or MONITOR)
    except BuildError as error:
        raise RingError(str(error)) from None


if __name__ == "__main__":
    try:
        print(build())
    except RingError as error:
        sys.exit(f"ring3: {error}")
