"""Tiny guests: assembled from text, run in this process, and what they printed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypercalls import gas
from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.outcome import Outcome
from native.build import compiler
from porter.binary import scan

HERE = Path(__file__).resolve().parent
ENTRY = 0x10_0000
MEMORY = 16 * MIB
SECONDS = 3.0
AGAIN = 5.0  # Python drops an exception that a signal raises in a finaliser: it comes again
FLAGS = ("-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-n",
         "-Wl,--no-warn-rwx-segments", f"-Wl,-Ttext={ENTRY:#x}")  # fmt: skip


class TimeIsUp(Exception):
    """The guest was given its time and did not end."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp where what is done takes longer. The limit of the test, by the same timer, goes on behind it."""

    def alarm(_number: int, _frame: Any) -> None:
        raise TimeIsUp

    handler = signal.signal(signal.SIGALRM, alarm)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *outer)


class Recorder:
    """A console that keeps what the guest prints."""

    def __init__(self) -> None:
        self.data = b""

    def open(self, domain: Domain) -> None:
        """The guest is about to run."""

    def write(self, data: bytes) -> None:
        """Keep `data`."""
        self.data += data

    def close(self) -> None:
        """The guest has ended."""


@dataclass(frozen=True)
class Run:
    """How a guest ended and what it printed."""

    outcome: Outcome
    text: str

    @property
    def items(self) -> dict[str, int]:
        """The values that the guest said, by name."""
        return items(self.text)


def items(text: str) -> dict[str, int]:
    """The values that a guest said, by name."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: int(value, 16) for name, value in pairs}


def assemble(body: str, out: Path, ported: bool) -> Path:
    """Assemble and link a guest whose code `body` follows the prelude; returns the kernel."""
    macros = gas.macros() if ported else (HERE / "native.inc").read_text()
    source, kernel = out.with_suffix(".s"), out.with_suffix(".elf")
    source.write_text(f"{macros}\n{(HERE / 'prelude.S').read_text()}\n{body}\n")
    subprocess.run([*compiler(), *FLAGS, "-o", str(kernel), str(source)], check=True)
    return kernel


def silent_instructions(kernel: Path) -> tuple[tuple[int, int], ...]:
    """Instructions of an unported kernel that need help to trap: guest-physical address and first byte."""
    return tuple(
        (site.physical, site.code[0]) for site in scan(kernel) if not site.traps and site.physical is not None
    )


def run(kernel: Path, *, seconds: float = SECONDS, console: Recorder | None = None, **config: Any) -> Run:
    """Run a guest to its end. TimeIsUp where that takes longer than `seconds`."""
    console = console or Recorder()
    with Domain(DomainConfig(kernel, **{"memory": MEMORY, **config})) as domain:
        domain.build()
        with time_limit(seconds):
            result = domain.run(console)
    return Run(result, console.data.decode(errors="replace"))
