"""The serial console's two byte rings in the state file.

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


class ConsoleRings:
    """What the guest printed and what is typed to it; `wake` tells the monitor of new input."""

    def __init__(self, state: StateFile, wake: Callable[[], None]) -> None:
        self._control, self._wake = state.control, wake
        self._out = state.window(layout.CONSOLE_OUT_OFFSET, layout.CONSOLE_OUT_SIZE)
        self._in = state.window(layout.CONSOLE_IN_OFFSET, layout.CONSOLE_IN_SIZE)
        self.tail = 0  # bytes ever read from the guest: ours, not the copy that the guest could change
        self._typed = 0
        self._typing = threading.Lock()

    def drain(self) -> bytes:
        """Everything printed since the last call."""
        self._control.doorbell = 0  # before looking: output from here on rings again
        head = self._control.console_out_head
        length = min(head - self.tail & _U32, layout.CONSOLE_OUT_SIZE)
        start = (head - length) % layout.CONSOLE_OUT_SIZE
        first = bytes(self._out[start : start + length])
        data = first + bytes(self._out[: length - len(first)])
        self.tail = self._control.console_out_tail = head
        return data

    def feed(self, data: bytes) -> int:
        """Type `data`; the number of bytes that fitted. May be called from any thread."""
        with self._typing:
            used = self._typed - self._control.console_in_tail & _U32
            count: int = min(len(data), max(layout.CONSOLE_IN_SIZE - used, 0))
            for byte in data[:count]:
                self._in[self._typed % layout.CONSOLE_IN_SIZE] = byte
                self._typed = self._typed + 1 & _U32
            if count:
                self._control.console_in_head = self._typed
                self._wake()
            return count
