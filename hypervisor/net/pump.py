"""The thread that brings frames from the cables to the cards.

The other way needs none: a card hands its frames to `Line.send` while the VMM serves the exit by which the driver
announced them. Whatever touches a card holds the bus's lock.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from hypervisor.net.capture import Capture
from hypervisor.net.endpoint import Endpoint

_POLL_MS = 1000  # how often an absent peer is looked for


class Card(Protocol):
    """What the pump needs of a network card."""

    link: bool

    def received(self, frame: bytes) -> None:
        """Take a frame."""

    def set_link(self, up: bool) -> None:
        """Learn whether anybody is at the other end."""


class Line:
    """A cable with its card at one end and an endpoint at the other; what passes is captured."""

    def __init__(self, endpoint: Endpoint, capture: Capture | None) -> None:
        self.endpoint, self.capture = endpoint, capture
        self.card: Card | None = None
        self._wake: Callable[[], None] = lambda: None

    def on_backlog(self, wake: Callable[[], None]) -> None:
        """Call `wake` where something is left to send, so that the pump waits for that, too."""
        self._wake = wake

    def send(self, frame: bytes) -> None:
        """Take a frame from the card."""
        if self.capture:
            self.capture.add(frame)
        self.endpoint.send(frame)
        if self.endpoint.backlog:
            self._wake()

    def close(self) -> None:
        """Release both ends."""
        self.endpoint.close()
        if self.capture:
            self.capture.close()


class Pump:
    """Serves `lines` until `stop`. `lock` is the bus's; `wake` makes the guest look at interrupts."""

    def __init__(self, lines: Sequence[Line], lock: contextlib.AbstractContextManager[object],
                 wake: Callable[[], None]) -> None:
        self._lines, self._lock, self._wake_guest = lines, lock, wake
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="ring3-net", daemon=True)
        for line in lines:
            line.on_backlog(self._nudge)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _nudge(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._event, 1)

    def _run(self) -> None:
        while not self._stopping:
            for line in self._lines:
                self._serve(line)
            poll = select.poll()
            poll.register(self._event, select.POLLIN)
            for line in self._lines:
                for fd, writing in line.endpoint.waits():
                    poll.register(fd, select.POLLIN | (select.POLLOUT if writing else 0))
            poll.poll(_POLL_MS)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._event)

    def _serve(self, line: Line) -> None:
        frames, card, up = line.endpoint.receive(), line.card, line.endpoint.connected
        if not card or (not frames and up == card.link):
            return
        with self._lock:
            card.set_link(up)
            for frame in frames:
                if line.capture:
                    line.capture.add(frame)
                card.received(frame)
        self._wake_guest()

    def stop(self) -> None:
        """End the thread. Legal more than once, and if it was never started."""
        if self._event < 0:
            return
        self._stopping = True
        self._nudge()
        if self._thread.is_alive():
            self._thread.join()
        for line in self._lines:
            line.on_backlog(lambda: None)
        os.close(self._event)
        self._event = -1
