"""8042 keyboard controller with a keyboard (IRQ 1) and a mouse (IRQ 12), ports 0x60 and 0x64.

Kernels poll the status port, so it is a latch. One byte waits in the output buffer; what else the devices
have to say waits with them, as their clock lines are held while the buffer is full. Source: IBM PS/2
Hardware Technical Reference, "Keyboard and Auxiliary Device Controller".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from hypervisor.bus import Bus, ByteDevice, MachineStop
from hypervisor.devices.ps2 import UNTAKEN
from hypervisor.devices.ps2_keyboard import Keyboard
from hypervisor.devices.ps2_mouse import Mouse
from hypervisor.devices.scancodes import BREAK, RELEASE, TRANSLATION, chord

DATA, COMMAND = 0x60, 0x64
KEYBOARD_IRQ, MOUSE_IRQ = 1, 12

OUTPUT_FULL, SYSTEM, LAST_WAS_COMMAND, UNLOCKED, FROM_MOUSE = 0x01, 0x04, 0x08, 0x10, 0x20  # status
INT_KEYBOARD, INT_MOUSE, DISABLE_KEYBOARD, DISABLE_MOUSE, TRANSLATE = 0x01, 0x02, 0x10, 0x20, 0x40  # config
CONFIG_RESET = INT_KEYBOARD | SYSTEM | DISABLE_MOUSE | TRANSLATE
OUTPUT_RESET_LINE, OUTPUT_A20 = 0x01, 0x02  # output port; the reset line is active low
OUTPUT_MOUSE_FULL, OUTPUT_KEYBOARD_FULL = 0x20, 0x10
OUTPUT_PORT_RESET = 0xCF
QUEUE = 4096  # bytes of keystrokes held for the guest; typing beyond that waits
RAM = 32  # bytes that commands 0x20-0x3f read and 0x60-0x7f write; the first is the configuration


class I8042(ByteDevice):
    """The controller. `type_bytes`, `press` and `move_mouse` may be called from another thread than the bus's."""

    name = "i8042"
    ports = (range(DATA, DATA + 1), range(COMMAND, COMMAND + 1))

    def __init__(self) -> None:
        self.keyboard, self.mouse = Keyboard(), Mouse()
        self._ram, self._output_port = bytearray(RAM), OUTPUT_PORT_RESET
        self._ram[0] = CONFIG_RESET
        # The controller's own: (as if from the mouse, byte).
        self._replies: deque[tuple[bool, int]] = deque(maxlen=UNTAKEN)
        self._output: tuple[bool, int] | None = None  # the output buffer
        self._last = 0
        self._breaking = False  # the keyboard's last byte was BREAK, which translation keeps back
        self._awaiting: Callable[[int], None] | None = None  # who takes the next byte written to 0x60
        self._last_was_command = False
        self._lock = threading.Lock()

    def attach(self, bus: Bus) -> None:
        super().attach(bus)
        self._latch = bus.latch([COMMAND], self._status())

    # --- the user's side --------------------------------------------------------------------------------

    def type_bytes(self, data: bytes) -> int:
        """Type `data` on the keyboard; the number of characters that fitted into its queue."""
        for count, byte in enumerate(data):
            keys = chord(chr(byte))
            if not self.press([(key, True) for key in keys] + [(key, False) for key in reversed(keys)]):
                return count
        return len(data)

    def press(self, strokes: list[tuple[int, bool]]) -> bool:
        """Keys go down (True) and up, in this order. False, and nothing done, where the keyboard's queue is full."""
        with self._lock:
            if self.keyboard.waiting >= QUEUE:
                return False
            for key, pressed in strokes:
                self.keyboard.press(key, pressed)
            self._fill()
            return True

    def move_mouse(self, right: int, up: int, wheel: int, buttons: int) -> None:
        """The mouse has moved (counts), its wheel down (notches), and these buttons are pressed now."""
        with self._lock:
            self.mouse.move(right, up, wheel, buttons)
            self._fill()

    # --- the output buffer ------------------------------------------------------------------------------

    @property
    def _config(self) -> int:
        return self._ram[0]

    def _status(self) -> int:
        status = UNLOCKED | self._config & SYSTEM | (LAST_WAS_COMMAND if self._last_was_command else 0)
        if self._output:
            status |= OUTPUT_FULL | (FROM_MOUSE if self._output[0] else 0)
        return status

    def _fill(self) -> None:
        """Let the next byte into the output buffer, if that is free and there is one."""
        was_free = self._output is None
        if was_free:
            self._output = self._next()
        self._latch.set(self._status())  # first: a guest that runs meanwhile asks as soon as it is interrupted
        if was_free:
            self._interrupt()

    def _next(self) -> tuple[bool, int] | None:
        if self._replies:
            return self._replies.popleft()
        while self.keyboard.is_pending and not self._config & DISABLE_KEYBOARD:
            value = self._translated(self.keyboard.take())
            if value is not None:
                return False, value
        if self.mouse.is_pending and not self._config & DISABLE_MOUSE:
            return True, self.mouse.take()
        return None

    def _translated(self, value: int) -> int | None:
        """A byte of the keyboard as the configuration wants it; None: it only changes the next one."""
        if not self._config & TRANSLATE:
            return value
        if value == BREAK:
            self._breaking = True
            return None
        release = RELEASE if self._breaking else 0
        self._breaking = False
        return TRANSLATION[value] | release

    def _interrupt(self) -> None:
        """Pulse the line of whoever filled the output buffer."""
        if self._output:
            mouse = self._output[0]
            if self._config & (INT_MOUSE if mouse else INT_KEYBOARD):
                self.bus.pulse_irq(MOUSE_IRQ if mouse else KEYBOARD_IRQ)

    # --- the guest's side -------------------------------------------------------------------------------

    def read(self, port: int) -> int:
        if port == COMMAND:
            return self._status()  # reached by wide accesses only; bytes are latched
        with self._lock:
            if self._output:
                self._last, self._output = self._output[1], None
                self._fill()
            return self._last

    def write(self, port: int, value: int) -> None:
        with self._lock:
            self._last_was_command = port == COMMAND
            if port == COMMAND:
                self._command(value)
            elif self._awaiting:
                take, self._awaiting = self._awaiting, None
                take(value)
            else:
                self._to_keyboard(value)
            self._fill()

    def _command(self, value: int) -> None:
        self._awaiting = None
        if value in _TAKES_ARGUMENT:
            self._awaiting = _TAKES_ARGUMENT[value].__get__(self)
        elif value in _REPLIES:
            self._reply(_REPLIES[value])
        elif value in range(0x20, 0x20 + RAM):
            self._reply(self._ram[value - 0x20])
        elif value in range(0x60, 0x60 + RAM):
            self._awaiting = lambda data: self._set_ram(value - 0x60, data)
        elif value == 0xD0:
            self._reply(self._read_output_port())
        elif value in _CONFIG_CHANGES:
            clear, put = _CONFIG_CHANGES[value]
            self._set_ram(0, self._config & ~clear | put)
        elif value in _A20:
            self._output_port = self._output_port & ~OUTPUT_A20 | _A20[value]
        elif value >= 0xF0 and not value & OUTPUT_RESET_LINE:
            raise MachineStop("reset", 0, f"reset by keyboard controller command {value:#x}")

    def _reply(self, value: int) -> None:
        self._replies.append((False, value))

    def _set_ram(self, index: int, value: int) -> None:
        before, self._ram[index] = self._ram[index], value
        newly = value & ~before & (INT_KEYBOARD | INT_MOUSE)
        if index == 0 and newly and self._output and newly & (INT_MOUSE if self._output[0] else INT_KEYBOARD):
            self._interrupt()

    def _read_output_port(self) -> int:
        value = self._output_port & ~(OUTPUT_KEYBOARD_FULL | OUTPUT_MOUSE_FULL)
        if self._output:
            value |= OUTPUT_MOUSE_FULL if self._output[0] else OUTPUT_KEYBOARD_FULL
        return value

    def _set_output_port(self, value: int) -> None:
        if not value & OUTPUT_RESET_LINE:
            raise MachineStop("reset", 0, "reset by the keyboard controller's output port")
        self._output_port = value

    def _to_keyboard(self, value: int) -> None:
        """What is written to a device lets its clock run again."""
        self._ram[0] &= ~DISABLE_KEYBOARD
        self.keyboard.write(value)

    def _to_mouse(self, value: int) -> None:
        self._ram[0] &= ~DISABLE_MOUSE
        self.mouse.write(value)

    def _from_keyboard(self, value: int) -> None:
        self._replies.append((False, value))

    def _from_mouse(self, value: int) -> None:
        self._replies.append((True, value))


# Password (none), tests of the mouse, the controller, the keyboard; input port, version, mode, test inputs.
_REPLIES = {0xA4: 0xF1, 0xA9: 0x00, 0xAA: 0x55, 0xAB: 0x00, 0xC0: 0xA0, 0xA1: 0x00, 0xCA: 0x01, 0xE0: 0x00}
_CONFIG_CHANGES = {
    0xA7: (0, DISABLE_MOUSE), 0xA8: (DISABLE_MOUSE, 0), 0xAD: (0, DISABLE_KEYBOARD), 0xAE: (DISABLE_KEYBOARD, 0),
}  # fmt: skip
_A20 = {0xDD: 0, 0xDF: OUTPUT_A20}
_TAKES_ARGUMENT: dict[int, Callable[[I8042, int], None]] = {
    0xD1: I8042._set_output_port,
    0xD2: I8042._from_keyboard,
    0xD3: I8042._from_mouse,
    0xD4: I8042._to_mouse,
}
