"""What is common to the ends of a cable."""

from __future__ import annotations

import socket
from typing import Protocol

LONGEST = 65536  # bytes of a frame that is taken from a peer
Ready = tuple[int, bool]  # a descriptor, and whether it is to be waited for until it can be written


class Endpoint(Protocol):
    """One end of a cable. `send` may be called by another thread than the rest."""

    @property
    def connected(self) -> bool:
        """Whether anybody is at the other end now."""

    @property
    def backlog(self) -> bool:
        """Whether frames wait until the peer takes them."""

    def waits(self) -> list[Ready]:
        """What the pump is to wait for."""

    def receive(self) -> list[bytes]:
        """Frames that have come in, after any of `waits` was ready or a second has passed; never blocks."""

    def send(self, frame: bytes) -> None:
        """Pass a frame on, or drop it; never blocks."""

    def close(self) -> None:
        """Release everything. Legal more than once."""


def unblocked(end: socket.socket) -> socket.socket:
    """The same socket, non-blocking."""
    end.setblocking(False)
    return end
