"""What a keyboard and a mouse have in common: a line to the controller with answers and events on it."""

from __future__ import annotations

from collections import deque

ACK, RESEND, SELF_TEST_PASSED = 0xFA, 0xFE, 0xAA
UNTAKEN = 16  # answers kept for a guest that gives commands and takes none


class Ps2Device:
    """Bytes for the controller: answers to commands come before events, as a device holds events back."""

    def __init__(self) -> None:
        self._answers: deque[int] = deque(maxlen=UNTAKEN)
        self._events: deque[int] = deque()
        self._last = 0  # what a resend command gives again

    @property
    def is_pending(self) -> bool:
        """Whether the device has something to send."""
        return bool(self._answers or self._events)

    @property
    def waiting(self) -> int:
        """Bytes of events that the guest has not taken yet."""
        return len(self._events)

    def take(self) -> int:
        """The next byte; legal when something is pending."""
        self._last = (self._answers or self._events).popleft()
        return self._last

    def _answer(self, *values: int) -> None:
        self._answers.extend(values)

    def _resend(self) -> None:
        self._answers.append(self._last)
