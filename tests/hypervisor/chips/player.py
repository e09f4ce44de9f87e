"""Scripts on whole machines: the player (player.S), an emulated PC that runs it, and ring3.

The PC counts time in instructions (QEMU's ``-icount``), and the script's answers come with the time of each, so
that other chips can be given exactly the same accesses.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypervisor.serial import SerialConfig
from tests.hypervisor.chips import chips
from tests.hypervisor.chips.chips import Step
from tests.hypervisor.engine import guests

HERE = Path(__file__).resolve().parent
MAGIC = struct.pack("<I", 0x52334350)
PC_SECONDS = 120
(_END, _OUT, _IN, _STORE, _LOAD, _WAIT, _WINDOW) = range(7)
_ANSWER = struct.Struct("<IQ")


@dataclass(frozen=True)
class Action:
    """One step of a player's script.

    `mask`: bits of the answer that are compared; `slack`: by how much it may differ; `steady`: it is compared only
    where the PC answers the same that many steps later (see `steadily`).
    """

    operation: int
    address: int = 0
    value: int = 0
    mask: int = 0xFFFF_FFFF
    slack: int = 0
    steady: int = 0


def out(port: int, value: int) -> Action:
    """Write a byte to a port."""
    return Action(_OUT, port, value)


def in_(port: int, mask: int = 0xFF, slack: int = 0) -> Action:
    """Read a byte from a port."""
    return Action(_IN, port, mask=mask, slack=slack)


def store(address: int, value: int) -> Action:
    """Write 32 bits to memory."""
    return Action(_STORE, address, value)


def load(address: int, mask: int = 0xFFFF_FFFF, slack: int = 0) -> Action:
    """Read 32 bits from memory."""
    return Action(_LOAD, address, mask=mask, slack=slack)


def wait(ns: int) -> Action:
    """Let time pass."""
    return Action(_WAIT, value=ns)


def window() -> Action:
    """Let one interrupt in; the answer is its vector."""
    return Action(_WINDOW)


def steadily(*actions: Action) -> list[Action]:
    """Actions that end with a read of what may be just changing, where machines are a tick apart: what is read
    counts if it stays so for three ticks."""
    first, last = actions[:-1], actions[-1]
    return [*first, replace(last, steady=len(actions) + 1), wait(3000), *first, replace(last, mask=0)]


@dataclass(frozen=True)
class Answer:
    """What an action answered, and when it began (ns)."""

    value: int
    ns: int


def have_pc() -> bool:
    """Whether there is an emulated PC here."""
    return shutil.which("qemu-system-i386") is not None


def _kernel(script: Sequence[Action], out_path: Path, ported: bool) -> Path:
    text = (HERE / "player.S").read_text() + "\n".join(
        f"\t.long {action.operation}, {action.address:#x}, {action.value:#x}" for action in [*script, Action(_END)])
    return guests.assemble(text, out_path, ported)


def _answers(sent: bytes, count: int) -> list[Answer]:
    first = sent.rindex(MAGIC) + len(MAGIC)
    data = sent[first : first + count * _ANSWER.size]  # the prelude may say that it ends behind them
    assert len(data) == count * _ANSWER.size, "the player did not come to its end"
    return [Answer(*fields) for fields in _ANSWER.iter_unpack(data)]


def on_pc(script: Sequence[Action], folder: Path) -> list[Answer]:
    """What an emulated PC answers to `script`."""
    kernel = _kernel(script, folder / "pc", ported=False)
    serial = folder / "serial"
    subprocess.run(
        ["qemu-system-i386", "-kernel", str(kernel), "-nodefaults", "-display", "none", "-no-reboot", "-m", "32",
         "-serial", f"file:{serial}", *["-serial", "null"] * 3, "-icount", "shift=4,sleep=off",
         "-rtc", "base=2024-02-29T15:04:05,clock=vm", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
        timeout=PC_SECONDS, check=False, capture_output=True,
    )  # fmt: skip
    return _answers(serial.read_bytes(), len(script))


def in_chips(script: Sequence[Action], answers: Sequence[Answer], chip: chips.Chips) -> list[int]:
    """What the monitor's chips answer to `script` where each action comes at the time of its answer on the PC."""
    steps: list[Step] = []
    asked: list[int] = []
    before = 0
    for place, (action, answer) in enumerate(zip(script, answers, strict=True)):
        steps.append(chips.advance(answer.ns - before))
        before = answer.ns
        if action.operation in (_OUT, _STORE):
            make = chips.out if action.operation == _OUT else chips.store
            steps.append(make(action.address, action.value))
        elif action.operation in (_IN, _LOAD, _WINDOW):
            asked.append(place)
            steps.append(chips.acknowledge() if action.operation == _WINDOW
                         else (chips.in_ if action.operation == _IN else chips.load)(action.address))
    values = [0] * len(script)
    for place, value in zip(asked, chip.run(steps), strict=True):
        values[place] = value & 0xFFFF_FFFF
    return values


def in_ring3(script: Sequence[Action], folder: Path) -> list[Answer]:
    """What ring3's whole machine answers to `script`; its time is the host's."""
    kernel = _kernel(script, folder / "ring3", ported=True)
    console = guests.Recorder()
    guests.run(kernel, console=console, seconds=30, serials=tuple(SerialConfig(number, "null") for number in (1, 2, 3)))
    return _answers(console.data, len(script))


def differences(script: Sequence[Action], wanted: Sequence[int], got: Sequence[int]) -> list[str]:
    """Where two machines' answers differ more than they may; a line for each."""
    found = []
    for place, (action, want, have) in enumerate(zip(script, wanted, got, strict=True)):
        if action.steady and (want ^ wanted[place + action.steady]) & action.mask:
            continue
        apart = (want & action.mask) - (have & action.mask)
        span = action.mask + 1
        if min(apart % span, -apart % span) > action.slack:
            found.append(f"step {place} {action}: the PC says {want & action.mask:#x}, we {have & action.mask:#x}")
    return found
