"""What a terminal sends, as keys of a PC's keyboard and movements of its mouse.

Terminals tell of characters and of a few keys, never of a release, so every key is pressed and released at
once. Sources: ECMA-48 (CSI, SS3), xterm's "Control Sequences" (modified keys, SGR mouse mode), the Linux
console's console_codes(4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hypervisor.devices.ps2_mouse import LEFT, MIDDLE, RIGHT
from hypervisor.devices.scancodes import KEYS, LEFT_ALT, LEFT_CTRL, LEFT_SHIFT, chord

ESC = 0x1B


@dataclass(frozen=True)
class Keys:
    """Keys to press in this order and release in the opposite one. `character`: what was typed, if it is one."""

    keys: tuple[int, ...]
    character: str = ""


@dataclass(frozen=True)
class MouseEvent:
    """The pointer is at `column`, `row` (from 0); `buttons` are pressed now; the wheel turned (down is positive)."""

    column: int
    row: int
    buttons: int
    wheel: int = 0


# Last byte of a sequence without number, after CSI or SS3.
_BY_LETTER = {
    "A": "up", "B": "down", "C": "right", "D": "left", "E": "centre", "F": "end", "H": "home", "Z": "tab",
    "P": "f1", "Q": "f2", "R": "f3", "S": "f4", "M": "enter",
}  # fmt: skip
# First number of a sequence that ends with a tilde.
_BY_NUMBER = {
    1: "home", 2: "insert", 3: "delete", 4: "end", 5: "page up", 6: "page down", 7: "home", 8: "end",
    **{number: f"f{place}" for place, number in enumerate((11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24), 1)},
    29: "menu",
}  # fmt: skip
_LINUX_CONSOLE = {letter: f"f{place}" for place, letter in enumerate("ABCDE", 1)}  # ESC [ [ A
_MODIFIERS = ((1, LEFT_SHIFT), (2, LEFT_ALT), (4, LEFT_CTRL))  # the second number, less 1

_SEQUENCE = re.compile(rb"\x1b(?:\[\[(?P<linux>[A-E])|\[(?P<parameters>[0-9;:<=>?]*)[ -/]*(?P<final>[@-Z\x5c-~])"
                       rb"|O(?P<modifier>[0-9]?)(?P<ss3>[A-Za-z]))", re.DOTALL)  # fmt: skip
_UNFINISHED = re.compile(rb"\x1b(?:\[\[?[0-9;:<=>?]*[ -/]*|O[0-9]?)?", re.DOTALL)
_LONGEST = 64  # bytes; what goes on longer is no sequence

_BUTTONS = {0: LEFT, 1: MIDDLE, 2: RIGHT}
_MOTION, _WHEEL = 32, 64


class TerminalInput:
    """Takes the terminal's bytes as they come; a sequence may be torn."""

    def __init__(self) -> None:
        self._rest = b""
        self._buttons = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether what came last may be the beginning of a sequence, or else the Escape key."""
        return bool(self._rest)

    def feed(self, data: bytes, over: bool = False) -> Iterator[Keys | MouseEvent]:
        """The events that `data` completes. `over`: nothing more belongs to what came before."""
        data, self._rest = self._rest + data, b""
        at = 0
        while at < len(data):
            if data[at] != ESC:
                if data[at] < 0x80:  # no key types the others
                    character = chr(data[at])
                    yield Keys(chord(character), character)
                at += 1
                continue
            found = _SEQUENCE.match(data, at)
            if found:
                yield from self._sequence(found)
                at = found.end()
                continue
            rest = data[at:]
            if not over and len(rest) < _LONGEST and _UNFINISHED.fullmatch(rest):
                self._rest = rest
                return
            at += 1
            if at < len(data) and data[at] != ESC and data[at] < 0x80:
                yield Keys((LEFT_ALT, *chord(chr(data[at]))))
                at += 1
            else:
                yield Keys((KEYS["escape"],))

    def _sequence(self, found: re.Match[bytes]) -> Iterator[Keys | MouseEvent]:
        linux, final, ss3 = found["linux"], found["final"], found["ss3"]
        if linux:
            yield Keys((KEYS[_LINUX_CONSOLE[linux.decode()]],))
        elif ss3:
            yield from _key(_BY_LETTER.get(ss3.decode()), int(found["modifier"] or 1))
        elif found["parameters"].startswith(b"<"):
            yield from self._mouse(_numbers(found["parameters"][1:]), pressed=final == b"M")
        else:
            numbers = _numbers(found["parameters"])
            name = _BY_NUMBER.get(numbers[0]) if final == b"~" else _BY_LETTER.get(final.decode())
            yield from _key(name, 2 if final == b"Z" else numbers[1] if len(numbers) > 1 else 1)

    def _mouse(self, numbers: list[int], pressed: bool) -> Iterator[MouseEvent]:
        """SGR: button and modifiers, column, row (from 1)."""
        if len(numbers) != 3:
            return
        code, column, row = numbers
        wheel = 0
        if code & _WHEEL:
            wheel = {0: -1, 1: 1}.get(code & 3, 0)
        elif not code & _MOTION:
            button = _BUTTONS.get(code & 3, 0)
            self._buttons = self._buttons | button if pressed else self._buttons & ~button
        yield MouseEvent(column - 1, row - 1, self._buttons, wheel)


def _numbers(text: bytes) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in re.split(rb"[;:]", text)]


def _key(name: str | None, modifier: int) -> Iterator[Keys]:
    if name:
        held = tuple(key for bit, key in _MODIFIERS if modifier - 1 & bit)
        yield Keys((*held, KEYS[name]))
