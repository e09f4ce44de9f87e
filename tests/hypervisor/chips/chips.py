"""The monitor's chips as a program of their own: ``Chips.run(script)`` plays accesses and time to fresh ones.

A script is exact: time passes only where it says so. Each kind of step is a function here; those that ask
give one answer each, in order.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path

from hypervisor.monitor.build import SOURCES
from native.build import compiler

HERE = Path(__file__).resolve().parent
CHIPS = ("pic", "pit", "lapic", "ioapic", "irq", "uart", "rtc", "calendar", "ticks", "timers", "acpi")
# Undefined behaviour and accesses behind an array's end are traps: the program dies.
FLAGS = ("-O1", "-g", "-std=gnu11", "-Wall", "-Wextra", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
SECONDS = 120
NONE = 0xFFFF_FFFF_FFFF_FFFF  # no vector, no byte
LAPIC, IOAPIC = 0xFEE0_0000, 0xFEC0_0000
FIRST_SECOND = 1_709_219_045  # of the host's wall clock: 2024-02-29 15:04:05 UTC
START_NS = 1_000_000_000  # of the host's monotonic clock

Step = tuple[int, int, int]
_STEP = struct.Struct("<IIQ")
(_OUT, _IN, _STORE, _LOAD, _ADVANCE, _JUMP, _LINE, _PULSE, _ACKNOWLEDGE, _INTA, _PENDING, _LINES, _SEND, _TAKE, _BREAK,
 _WALL, _POLICY) = range(17)


def out(port: int, value: int) -> Step:
    """Write a byte to a port."""
    return _OUT, port, value


def in_(port: int) -> Step:
    """Ask for the byte that a port reads."""
    return _IN, port, 0


def store(address: int, value: int) -> Step:
    """Write 32 bits to an APIC's register."""
    return _STORE, address, value


def load(address: int) -> Step:
    """Ask for an APIC's register."""
    return _LOAD, address, 0


def advance(ns: int) -> Step:
    """Time passes, and every timer is served when it is due."""
    return _ADVANCE, 0, ns


def jump(ns: int) -> Step:
    """Time passes while the guest does not run; then the timers are looked at once."""
    return _JUMP, 0, ns


def line(number: int, high: bool) -> Step:
    """A device raises or lowers an ISA interrupt line."""
    return _LINE, number, int(high)


def pulse(number: int) -> Step:
    """A device of the VMM requests an interrupt."""
    return _PULSE, number, 0


def acknowledge() -> Step:
    """Ask for the vector that the CPU takes now; NONE if none waits."""
    return _ACKNOWLEDGE, 0, 0


def inta() -> Step:
    """Ask for the vector that the 8259As give to an acknowledge cycle, whether they asked or not."""
    return _INTA, 0, 0


def pending() -> Step:
    """Ask whether an interrupt waits."""
    return _PENDING, 0, 0


def lines() -> Step:
    """Ask for the levels of the sixteen lines at the 8259As."""
    return _LINES, 0, 0


def send(number: int, byte: int) -> Step:
    """Send a byte to the guest on serial port `number` (0 is the first)."""
    return _SEND, number, byte


def take(number: int) -> Step:
    """Ask for the next byte that the guest sent; NONE if there is none."""
    return _TAKE, number, 0


def send_break(number: int) -> Step:
    """Send a break to the guest."""
    return _BREAK, number, 0


def set_host_clock(ns: int) -> Step:
    """Someone sets the host's time of day: ns since 1970."""
    return _WALL, 0, ns


def policy(value: int) -> Step:
    """Choose what becomes of late ticks (LostTicks)."""
    return _POLICY, 0, value


class Chips:
    """Compiled chips."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "chips"
        sources = [str(HERE / "chips.c"), *(str(SOURCES / f"{name}.c") for name in CHIPS)]
        subprocess.run([*compiler(), *FLAGS, f"-I{SOURCES}", "-o", str(self._program), *sources], check=True)

    def run(self, script: Iterable[Step]) -> list[int]:
        """The answers of fresh chips. Fails where they die, or wrote what is not theirs."""
        ran = subprocess.run([str(self._program)], input=b"".join(_STEP.pack(*step) for step in script),
                             capture_output=True, timeout=SECONDS, check=False)
        assert ran.returncode == 0, f"the chips ended with status {ran.returncode}"
        return list(struct.unpack(f"<{len(ran.stdout) // 8}Q", ran.stdout))
