"""A keyboard with 101 keys on a PS/2 line: scan code sets 1 and 2.

Source: IBM PS/2 Hardware Technical Reference, "Keyboards (101- and 102-Key)". Typematic rate and delay are
kept, but who types on a terminal repeats keys there.
"""

from __future__ import annotations

from collections.abc import Callable

from hypervisor.devices.ps2 import ACK, RESEND, SELF_TEST_PASSED, Ps2Device
from hypervisor.devices.scancodes import set_1, set_2

ECHO = 0xEE
IDENTITY = (0xAB, 0x83)
FIRST_COMMAND = 0xED  # a byte from here on is a command, also where an argument is expected
TYPEMATIC_RESET = 0x2B  # 10.9 characters a second after half a second
SCROLL_LED, NUM_LED, CAPS_LED = 1, 2, 4

_ENCODINGS = {1: set_1, 2: set_2}


class Keyboard(Ps2Device):
    """The keyboard. `leds` are as the guest set them (SCROLL_LED, NUM_LED, CAPS_LED)."""

    def __init__(self) -> None:
        super().__init__()
        self._argument: Callable[[int], None] | None = None
        self.is_scanning = True
        self.leds = 0
        self._defaults()

    def _defaults(self) -> None:
        self.set, self.typematic = 2, TYPEMATIC_RESET

    def press(self, key: int, pressed: bool) -> None:
        """A key goes down or up (hypervisor.devices.scancodes)."""
        if self.is_scanning:
            self._events.extend(_ENCODINGS[self.set](key, pressed))

    def write(self, value: int) -> None:
        take, self._argument = self._argument, None
        if take and value < FIRST_COMMAND:
            take(value)
        elif value == ECHO:
            self._answer(ECHO)
        elif value == RESEND:
            self._resend()
        elif value in _COMMANDS:
            self._answer(ACK)
            _COMMANDS[value](self)
        else:
            self._answer(RESEND)

    # --- commands, acknowledged before they come here ---------------------------------------------------

    def _await_leds(self) -> None:
        self._argument = self._set_leds

    def _set_leds(self, value: int) -> None:
        self.leds = value & 7
        self._answer(ACK)

    def _await_set(self) -> None:
        self._argument = self._choose_set

    def _choose_set(self, value: int) -> None:
        """Argument 0 asks for the set in use. Set 3 is not offered."""
        if value == 0:
            self._answer(ACK, self.set)
        elif value in _ENCODINGS:
            self.set = value
            self._events.clear()
            self._answer(ACK)
        else:
            self._answer(RESEND)

    def _await_typematic(self) -> None:
        self._argument = self._set_typematic

    def _set_typematic(self, value: int) -> None:
        self.typematic = value & 0x7F
        self._answer(ACK)

    def _identify(self) -> None:
        self._answer(*IDENTITY)

    def _enable(self) -> None:
        self._events.clear()
        self.is_scanning = True

    def _disable(self) -> None:
        self._events.clear()
        self._defaults()
        self.is_scanning = False

    def _set_defaults(self) -> None:
        self._events.clear()
        self._defaults()

    def _ignore(self) -> None:
        """Key types of set 3: of no consequence in the others."""

    def _reset(self) -> None:
        self._events.clear()
        self._defaults()
        self.is_scanning, self.leds = True, 0
        self._answer(SELF_TEST_PASSED)


_COMMANDS: dict[int, Callable[[Keyboard], None]] = {
    0xED: Keyboard._await_leds,
    0xF0: Keyboard._await_set,
    0xF2: Keyboard._identify,
    0xF3: Keyboard._await_typematic,
    0xF4: Keyboard._enable,
    0xF5: Keyboard._disable,
    0xF6: Keyboard._set_defaults,
    0xF7: Keyboard._ignore,
    0xF8: Keyboard._ignore,
    0xF9: Keyboard._ignore,
    0xFA: Keyboard._ignore,
    0xFF: Keyboard._reset,
}
