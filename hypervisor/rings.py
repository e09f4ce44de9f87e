"""A serial port's two byte rings in the state file.

The monitor's UART writes to one and reads from the other; the VMM is at the far ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypercalls import layout

if TYPE_CHECKING:
    from hypervisor.state import StateFile

_U32 = 0xFFFF_FFFF


def _places(number: int) -> tuple[int, int, int, int]:
    """Offset and size of the ring of what port `number` sends, and of the ring of what is sent to it."""
    if number == 0:
        return layout.CONSOLE_OUT_OFFSET, layout.CONSOLE_OUT_SIZE, layout.CONSOLE_IN_OFFSET, layout.CONSOLE_IN_SIZE
    return (layout.SERIAL_OUT_OFFSET + (number - 1) * layout.SERIAL_OUT_SIZE, layout.SERIAL_OUT_SIZE,
            layout.SERIAL_IN_OFFSET + (number - 1) * layout.SERIAL_IN_SIZE, layout.SERIAL_IN_SIZE)  # fmt: skip


class SerialRings:
    """What the guest sent on port `number` (0: the console) and what is sent to it; `wake` tells the monitor."""

    def __init__(self, state: StateFile, wake: Callable[[], None], number: int = 0) -> None:
        self._port, self._wake = state.control.serial[number], wake
        out, self._out_size, into, self._in_size = _places(number)
        self._out, self._in = state.window(out, self._out_size), state.window(into, self._in_size)
        self.tail = 0  # bytes ever read from the guest: ours, not the copy that the guest could change
        self._typed = self._breaks = 0
        self._typing = threading.Lock()

    @property
    def waiting(self) -> bool:
        """Whether the guest has sent anything since the last `drain`."""
        return bool(self._port.out_head != self.tail)

    def drain(self) -> bytes:
        """Everything sent since the last call. The doorbell must have been cleared before."""
        head = self._port.out_head
        length = min(head - self.tail & _U32, self._out_size)
        start = (head - length) % self._out_size
        first = bytes(self._out[start : start + length])
        data = first + bytes(self._out[: length - len(first)])
        self.tail = self._port.out_tail = head
        return data

    def feed(self, data: bytes) -> int:
        """Send `data` to the guest; the number of bytes that fitted. May be called from any thread."""
        with self._typing:
            used = self._typed - self._port.in_tail & _U32
            count: int = min(len(data), max(self._in_size - used, 0))
            for byte in data[:count]:
                self._in[self._typed % self._in_size] = byte
                self._typed = self._typed + 1 & _U32
            if count:
                self._port.in_head = self._typed
                self._wake()
            return count

    def send_break(self) -> None:
        """Send a break behind what was sent before; a later one replaces one that the guest has not come to.

        May be called from any thread.
        """
        with self._typing:
            self._breaks = self._breaks + 1 & _U32
            self._port.break_at = self._typed
            self._port.breaks = self._breaks
            self._wake()
