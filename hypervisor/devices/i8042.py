"""8042 keyboard controller with a keyboard and a mouse that never moves (ports 0x60 and 0x64).

Kernels poll the status port, so it is a latch. The keyboard delivers scan code set 1, as after the
controller's translation. Source: IBM PS/2 Hardware Technical Reference, "Keyboard and Auxiliary Device
Controller".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from hypervisor.bus import Bus, ByteDevice, MachineStop
from hypervisor.devices.scancodes import keystrokes

DATA, COMMAND = 0x60, 0x64
KEYBOARD_IRQ, MOUSE_IRQ = 1, 12

OUTPUT_FULL, SYSTEM, LAST_WAS_COMMAND, UNLOCKED, FROM_MOUSE = 0x01, 0x04, 0x08, 0x10, 0x20  # status
INT_KEYBOARD, INT_MOUSE, DISABLE_KEYBOARD, DISABLE_MOUSE, TRANSLATE = 0x01, 0x02, 0x10, 0x20, 0x40  # config
CONFIG_RESET = INT_KEYBOARD | SYSTEM | DISABLE_MOUSE | TRANSLATE
OUTPUT_RESET_LINE, OUTPUT_A20 = 0x01, 0x02  # output port; the reset line is active low
OUTPUT_PORT_RESET = 0xCF
ACK, RESEND, SELF_TEST_PASSED, ECHO = 0xFA, 0xFE, 0xAA, 0xEE
QUEUE = 4096  # bytes held for the guest; typing beyond that waits

# Device commands and what follows their acknowledgement.
_KEYBOARD = {
    0xF2: b"\xab\x83", 0xF4: b"", 0xF5: b"", 0xF6: b"", 0xFF: bytes([SELF_TEST_PASSED]), 0xED: b"", 0xF0: b"",
    0xF3: b"",
}  # fmt: skip
_MOUSE = {
    0xF2: b"\x00", 0xF4: b"", 0xF5: b"", 0xF6: b"", 0xFF: bytes([SELF_TEST_PASSED, 0]), 0xE6: b"", 0xE7: b"",
    0xE8: b"", 0xE9: b"\x00\x02\x64", 0xEA: b"", 0xEB: b"\x08\x00\x00", 0xF3: b"",
}  # fmt: skip
_KEYBOARD_ARGUMENT = (0xED, 0xF0, 0xF3)  # one more byte belongs to these
_MOUSE_ARGUMENT = (0xE8, 0xF3)
_SCAN_CODE_SET = 0xF0


class I8042(ByteDevice):
    """The controller. `type_bytes` may be called from another thread than the bus's."""

    name = "i8042"
    ports = (range(DATA, DATA + 1), range(COMMAND, COMMAND + 1))

    def __init__(self) -> None:
        self._config, self._output_port = CONFIG_RESET, OUTPUT_PORT_RESET
        self._queue: deque[tuple[bool, int]] = deque()  # (from the mouse, byte)
        self._last = 0
        self._awaiting: Callable[[int], None] | None = None  # who takes the next byte written to 0x60
        self._last_was_command = self._mouse_argument = False
        self._lock = threading.Lock()

    def attach(self, bus: Bus) -> None:
        super().attach(bus)
        self._latch = bus.latch([COMMAND], self._status())

    def type_bytes(self, data: bytes) -> int:
        """Type `data` on the keyboard; the number of characters that fitted into the queue."""
        for count, byte in enumerate(data):
            strokes = keystrokes(chr(byte))
            with self._lock:
                if len(self._queue) + len(strokes) > QUEUE:
                    return count
                self._put(strokes)
                self._latch.set(self._status())
        return len(data)

    def _status(self) -> int:
        status = UNLOCKED | SYSTEM | (LAST_WAS_COMMAND if self._last_was_command else 0)
        if self._queue:
            status |= OUTPUT_FULL | (FROM_MOUSE if self._queue[0][0] else 0)
        return status

    def _put(self, data: bytes, mouse: bool = False) -> None:
        self._queue.extend((mouse, byte) for byte in data)
        if data:
            self._interrupt()

    def _interrupt(self) -> None:
        """Pulse the line of whoever filled the output buffer."""
        if self._queue:
            mouse = self._queue[0][0]
            if self._config & (INT_MOUSE if mouse else INT_KEYBOARD):
                self.bus.pulse_irq(MOUSE_IRQ if mouse else KEYBOARD_IRQ)

    def read(self, port: int) -> int:
        if port == COMMAND:
            return self._status()  # reached by wide accesses only; bytes are latched
        with self._lock:
            if self._queue:
                self._last = self._queue.popleft()[1]
                self._interrupt()
                self._latch.set(self._status())
            return self._last

    def write(self, port: int, value: int) -> None:
        with self._lock:
            self._last_was_command = port == COMMAND
            self._take(port, value)
            self._latch.set(self._status())

    def _take(self, port: int, value: int) -> None:
        if port == COMMAND:
            self._command(value)
        elif self._awaiting:
            take, self._awaiting = self._awaiting, None
            take(value)
        else:
            self._to_keyboard(value)

    def _command(self, value: int) -> None:
        self._awaiting = _TAKES_ARGUMENT[value].__get__(self) if value in _TAKES_ARGUMENT else None
        if value in _REPLIES:
            self._put(bytes([_REPLIES[value]]))
        elif value == 0x20:
            self._put(bytes([self._config]))
        elif value == 0xD0:
            self._put(bytes([self._output_port | (0x10 if self._queue else 0)]))
        elif value in _CONFIG_CHANGES:
            clear, put = _CONFIG_CHANGES[value]
            self._config = self._config & ~clear | put
        elif value >= 0xF0 and not value & OUTPUT_RESET_LINE:
            raise MachineStop("reset", 0, f"reset by keyboard controller command {value:#x}")

    def _set_config(self, value: int) -> None:
        self._config = value
        self._interrupt()

    def _set_output_port(self, value: int) -> None:
        if not value & OUTPUT_RESET_LINE:
            raise MachineStop("reset", 0, "reset by the keyboard controller's output port")
        self._output_port = value

    def _to_keyboard(self, value: int) -> None:
        if value == ECHO:
            self._put(bytes([ECHO]))
        elif value not in _KEYBOARD:
            self._put(bytes([RESEND]))
        else:
            self._put(bytes([ACK]) + _KEYBOARD[value])
            if value in _KEYBOARD_ARGUMENT:
                self._awaiting = self._scan_code_set if value == _SCAN_CODE_SET else self._acknowledge

    def _acknowledge(self, value: int) -> None:
        self._put(bytes([ACK]))

    def _scan_code_set(self, value: int) -> None:
        """Argument 0 asks for the set in use; the keyboard itself speaks set 2, translated."""
        self._put(bytes([ACK, 2]) if value == 0 else bytes([ACK]))

    def _to_mouse(self, value: int) -> None:
        if self._mouse_argument:
            self._mouse_argument = False
            self._put(bytes([ACK]), mouse=True)
        elif value in _MOUSE:
            self._mouse_argument = value in _MOUSE_ARGUMENT
            self._put(bytes([ACK]) + _MOUSE[value], mouse=True)
        else:
            self._put(bytes([RESEND]), mouse=True)

    def _from_keyboard(self, value: int) -> None:
        self._put(bytes([value]))

    def _from_mouse(self, value: int) -> None:
        self._put(bytes([value]), mouse=True)


_REPLIES = {0xA9: 0x00, 0xAA: 0x55, 0xAB: 0x00, 0xC0: 0xA0, 0xCA: 0x00, 0xE0: 0x00}  # tests, input ports, mode
_CONFIG_CHANGES = {
    0xA7: (0, DISABLE_MOUSE), 0xA8: (DISABLE_MOUSE, 0), 0xAD: (0, DISABLE_KEYBOARD), 0xAE: (DISABLE_KEYBOARD, 0),
}  # fmt: skip
_TAKES_ARGUMENT: dict[int, Callable[[I8042, int], None]] = {
    0x60: I8042._set_config,
    0xD1: I8042._set_output_port,
    0xD2: I8042._from_keyboard,
    0xD3: I8042._from_mouse,
    0xD4: I8042._to_mouse,
}
