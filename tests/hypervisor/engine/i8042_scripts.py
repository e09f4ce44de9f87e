"""Scripts for the keyboard controller, its keyboard and its mouse (`port_script`)."""

from __future__ import annotations

from random import Random

from tests.hypervisor.engine.port_script import Op, Record

DATA, COMMAND = 0x60, 0x64
_STATUS = 0xF7  # QEMU never tells whether the last byte was a command (bit 3)
_CONFIGURATION = 0x45  # no interrupts of the mouse, translation
_TO_MOUSE = 0xD4

Script = list[Record]

_READ: Script = [(Op.IN8, COMMAND, _STATUS), (Op.IN8, DATA, 0xFF), (Op.IN8, COMMAND, _STATUS)]

# Commands with their arguments, and how many bytes come back.
_CONTROLLER: list[tuple[list[int], int]] = [
    ([0x20], 1), ([0xAA], 1), ([0xA9], 1), ([0xAB], 1), ([0xA7, 0x20], 1), ([0xA8, 0x20], 1), ([0xAD, 0x20], 1),
    ([0xAE, 0x20], 1),
]  # fmt: skip
_KEYBOARD: list[tuple[list[int], int]] = [
    ([0xEE], 1), ([0xED, 5], 2), ([0xF2], 3), ([0xF3, 0x20], 2), ([0xF4], 1), ([0xF5], 1), ([0xF6], 1), ([0xFF], 2),
    ([0xF0, 0], 3), ([0xF0, 1, 0xF0, 0], 5), ([0xF0, 2, 0xF0, 0], 5),
]  # fmt: skip
_MOUSE: list[tuple[list[int], int]] = [
    ([0xE6], 1), ([0xE7], 1), ([0xE8, 1], 2), ([0xE9], 4), ([0xEA], 1), ([0xF0, 0xEB], 5), ([0xF2], 2),
    ([0xF3, 40], 2), ([0xF4], 1), ([0xF5], 1), ([0xF6], 1), ([0xFF], 3), ([0xEE, 0x55, 0xEC], 3),
    ([0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF2], 8), ([0xF3, 200, 0xF3, 200, 0xF3, 80, 0xF2], 8),
]  # fmt: skip


def script(random: Random, commands: int = 120) -> Script:
    """Commands to all three, the answer to each byte awaited, translated and not."""
    out: Script = [(Op.OUT8, COMMAND, 0x60), (Op.OUT8, DATA, _CONFIGURATION)]
    for _ in range(commands):
        what = random.choice("ckmt")
        if what == "t":
            out += [(Op.OUT8, COMMAND, 0x60), (Op.OUT8, DATA, _CONFIGURATION ^ random.choice([0, 0x40]))]
            continue
        writes, answers = random.choice({"c": _CONTROLLER, "k": _KEYBOARD, "m": _MOUSE}[what])
        for value in writes:
            if what == "m":
                out.append((Op.OUT8, COMMAND, _TO_MOUSE))
            out.append((Op.OUT8, COMMAND if what == "c" else DATA, value))
            if what != "c":
                out += _READ
        rest = answers if what == "c" else answers - len(writes)
        out += _READ * (rest + random.randrange(2))
    return out
