"""A mouse with three buttons on a PS/2 line, which turns into one with a wheel, or with five buttons.

Source: IBM PS/2 Hardware Technical Reference, "Mouse"; Microsoft, "Supporting the IntelliMouse" for the
sample rates by which a driver asks for a wheel (200, 100, 80) and for five buttons (200, 200, 80).
"""

from __future__ import annotations

from collections.abc import Callable

from hypervisor.devices.ps2 import ACK, RESEND, SELF_TEST_PASSED, Ps2Device

LEFT, RIGHT, MIDDLE, FOURTH, FIFTH = 1, 2, 4, 8, 16
PLAIN, WHEEL, FIVE_BUTTONS = 0, 3, 4  # identities
QUEUE = 256  # bytes of packets held for the guest; movements beyond that add up to one

_ALWAYS, _X_NEGATIVE, _Y_NEGATIVE = 0x08, 0x10, 0x20  # first byte of a packet
_X_OVERFLOW, _Y_OVERFLOW = 0x40, 0x80
_MOST = 255  # counts of one packet
_KNOCKS: dict[tuple[int, ...], int] = {(200, 100, 80): WHEEL, (200, 200, 80): FIVE_BUTTONS}
_RATES = (10, 20, 40, 60, 80, 100, 200)
_DOUBLED = (0, 1, 1, 3, 6, 9)  # counts reported at scaling 2:1; from 6 on twice the count
_RESET_WRAP, _WRAP = 0xEC, 0xEE


class Mouse(Ps2Device):
    """The mouse. `is_reporting` tells whether movements reach the guest by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = PLAIN
        self._argument: Callable[[int], None] | None = None
        self._buttons = 0
        self._told_buttons = 0
        self._defaults()

    def _defaults(self) -> None:
        self.rate, self.resolution = 100, 2
        self.is_remote = self.is_enabled = self.is_doubled = self.is_wrapping = False
        self._rates: tuple[int, ...] = ()
        self._clear()

    def _clear(self) -> None:
        """Forget packets and movement, as every command but reads does."""
        self._x = self._y = self._z = 0
        self._events.clear()

    @property
    def is_reporting(self) -> bool:
        """Whether the mouse sends packets unasked."""
        return self.is_enabled and not self.is_remote and not self.is_wrapping

    def move(self, right: int, up: int, wheel: int, buttons: int) -> None:
        """The mouse has moved by so many counts, its wheel down by so many notches; `buttons` are pressed now."""
        if not self.is_enabled and not self.is_remote:
            return
        self._x, self._y, self._z = self._x + right, self._y + up, self._z + wheel
        self._buttons = buttons
        while self.is_reporting and self._has_news and len(self._events) < QUEUE:
            self._events.extend(self._packet(self.is_doubled))

    @property
    def _has_news(self) -> bool:
        return bool(self._x or self._y or self._z or self._buttons != self._told_buttons)

    def _packet(self, doubled: bool) -> bytes:
        """What has happened since the last packet, as far as one can tell it."""
        x, self._x = _part(self._x, _MOST)
        y, self._y = _part(self._y, _MOST)
        z, self._z = _part(self._z, 7) if self.identity != PLAIN else (0, 0)
        self._told_buttons = self._buttons
        if doubled:
            x, y = _double(x), _double(y)
        first = self._buttons & 7 | _ALWAYS | (_X_NEGATIVE if x < 0 else 0) | (_Y_NEGATIVE if y < 0 else 0)
        first |= (_X_OVERFLOW if abs(x) > _MOST else 0) | (_Y_OVERFLOW if abs(y) > _MOST else 0)
        packet = bytes([first, x & 0xFF, y & 0xFF])
        if self.identity == WHEEL:
            packet += bytes([z & 0xFF])
        elif self.identity == FIVE_BUTTONS:
            packet += bytes([z & 0x0F | (self._buttons & (FOURTH | FIFTH)) << 1])
        return packet

    # --- commands ---------------------------------------------------------------------------------------

    def write(self, value: int) -> None:
        take, self._argument = self._argument, None
        if self.is_wrapping and value not in (_RESET_WRAP, 0xFF):
            self._answer(value)
        elif take:
            take(value)
        elif value == RESEND:
            self._resend()
        elif value in _COMMANDS:
            self._answer(ACK)
            _COMMANDS[value](self)
        else:
            self._answer(RESEND)

    def _scale_plainly(self) -> None:
        self.is_doubled = False

    def _scale_doubled(self) -> None:
        self.is_doubled = True

    def _await_resolution(self) -> None:
        self._argument = self._set_resolution

    def _set_resolution(self, value: int) -> None:
        if value > 3:
            self._answer(RESEND)
            return
        self.resolution = value
        self._answer(ACK)

    def _status(self) -> None:
        state = self.is_remote << 6 | self.is_enabled << 5 | self.is_doubled << 4
        # The left and right buttons change places here (bits 2 and 0).
        buttons = (self._buttons & LEFT) << 2 | (self._buttons & RIGHT) >> 1 | (self._buttons & MIDDLE) >> 1
        self._answer(state | buttons, self.resolution, self.rate)

    def _stream(self) -> None:
        self.is_remote = False
        self._clear()

    def _remote(self) -> None:
        self.is_remote = True
        self._clear()

    def _wrap(self) -> None:
        self.is_wrapping = True
        self._clear()

    def _unwrap(self) -> None:
        self.is_wrapping = False
        self._clear()

    def _read(self) -> None:
        """Scaling is for packets that come unasked."""
        self._answer(*self._packet(doubled=False))

    def _identify(self) -> None:
        self._answer(self.identity)

    def _await_rate(self) -> None:
        self._argument = self._set_rate

    def _set_rate(self, value: int) -> None:
        if value not in _RATES:
            self._answer(RESEND)
            return
        self.rate = value
        self._rates = (*self._rates, value)[-3:]
        self.identity = _KNOCKS.get(self._rates, self.identity)
        self._answer(ACK)

    def _enable(self) -> None:
        self._clear()
        self.is_enabled = True

    def _disable(self) -> None:
        self._clear()
        self.is_enabled = False

    def _reset(self) -> None:
        self._defaults()
        self.identity = PLAIN
        self._answer(SELF_TEST_PASSED, PLAIN)


def _part(value: int, most: int) -> tuple[int, int]:
    """`value` as far as `most` allows either way, and the rest."""
    part = max(-most, min(most, value))
    return part, value - part


def _double(count: int) -> int:
    size = abs(count)
    scaled = _DOUBLED[size] if size < len(_DOUBLED) else 2 * size
    return scaled if count >= 0 else -scaled


_COMMANDS: dict[int, Callable[[Mouse], None]] = {
    0xE6: Mouse._scale_plainly,
    0xE7: Mouse._scale_doubled,
    0xE8: Mouse._await_resolution,
    0xE9: Mouse._status,
    0xEA: Mouse._stream,
    0xEB: Mouse._read,
    _RESET_WRAP: Mouse._unwrap,
    _WRAP: Mouse._wrap,
    0xF0: Mouse._remote,
    0xF2: Mouse._identify,
    0xF3: Mouse._await_rate,
    0xF4: Mouse._enable,
    0xF5: Mouse._disable,
    0xF6: Mouse._defaults,
    0xFF: Mouse._reset,
}
