"""A cable over a stream socket: each frame behind its length in four bytes, most significant first.

This is what QEMU's ``-netdev stream`` and ``-netdev socket`` speak, and passt, which gives a guest the host's network
without any rights. One side listens; a peer that goes away may come back.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from pathlib import Path

from hypervisor.errors import RingError
from hypervisor.net.endpoint import LONGEST, Ready, unblocked

_QUEUE = 1 << 20  # bytes that wait for a slow peer; more is dropped, as a switch does
_CHUNK = 1 << 18
_RETRY_SECONDS = 1.0


def _address(text: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    """A socket's family and address from a path (with a slash) or HOST:PORT."""
    if "/" in text:
        return socket.AF_UNIX, text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536:
        raise RingError(f"--net: '{text}' is no socket; give a path with a slash, or HOST:PORT")
    return socket.AF_INET, (host or "127.0.0.1", int(port))


def _remove_left_over(path: str) -> None:
    """A socket's file outlives whoever listened there; nobody does if it refuses connections."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()


class StreamEndpoint:
    """One end: `listen` waits for a peer, else one that listens at `address` is sought, again and again.

    RingError where the address cannot be used, or nobody listens there at first.
    """

    def __init__(self, address: str, listen: bool) -> None:
        self.address, self._family_address = address, _address(address)
        self._lock = threading.Lock()  # of `_peer` and `_out`, for `send`
        self._peer: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._in, self._out = bytearray(), bytearray()
        self._retry = 0.0
        if listen:
            self._listener = self._listening()
        else:
            self._connect(first=True)

    def _listening(self) -> socket.socket:
        family, address = self._family_address
        if family is socket.AF_UNIX:
            _remove_left_over(self.address)
        listener = socket.socket(family)
        try:
            if family is socket.AF_INET:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
        except OSError as error:
            listener.close()
            raise RingError(f"--net: cannot listen at {self.address} ({error.strerror}); "
                            "choose another place") from None
        return unblocked(listener)

    def _connect(self, first: bool = False) -> None:
        family, address = self._family_address
        peer = socket.socket(family)
        peer.settimeout(_RETRY_SECONDS)
        try:
            peer.connect(address)
        except OSError as error:
            peer.close()
            self._retry = time.monotonic() + _RETRY_SECONDS  # after the attempt, which may have taken as long
            if first:
                raise RingError(f"--net: nobody answers at {self.address} ({error.strerror or error}); "
                                "start the listening side first") from None
        else:
            self._set_peer(unblocked(peer))

    def _set_peer(self, peer: socket.socket | None) -> None:
        with self._lock:
            old, self._peer = self._peer, peer
            self._in.clear()
            self._out.clear()
        if old:
            old.close()

    @property
    def connected(self) -> bool:
        return self._peer is not None

    @property
    def backlog(self) -> bool:
        return bool(self._out)

    def waits(self) -> list[Ready]:
        if self._peer:
            return [(self._peer.fileno(), self.backlog)]
        return [(self._listener.fileno(), False)] if self._listener else []

    def receive(self) -> list[bytes]:
        if not self._peer:
            self._seek()
            return []
        try:
            self._flush()
            data = self._peer.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._set_peer(None)
            return []
        self._in += data
        return self._frames()

    def _seek(self) -> None:
        if self._listener:
            with contextlib.suppress(OSError):
                self._set_peer(unblocked(self._listener.accept()[0]))
        elif time.monotonic() >= self._retry:
            self._connect()

    def _frames(self) -> list[bytes]:
        frames: list[bytes] = []
        at, data = 0, self._in
        while at + 4 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            if length > LONGEST:
                self._set_peer(None)  # it speaks something else
                return frames
            if at + 4 + length > len(data):
                break
            frames.append(bytes(data[at + 4 : at + 4 + length]))
            at += 4 + length
        del data[:at]
        return frames

    def _flush(self) -> None:
        with self._lock:
            if self._out and self._peer:
                with contextlib.suppress(BlockingIOError):
                    del self._out[: self._peer.send(self._out)]

    def send(self, frame: bytes) -> None:
        with self._lock:
            if not self._peer or len(self._out) + len(frame) > _QUEUE:
                return
            self._out += len(frame).to_bytes(4, "big") + frame
            with contextlib.suppress(OSError):  # the pump finds out what is wrong with it
                del self._out[: self._peer.send(self._out)]

    def close(self) -> None:
        self._set_peer(None)
        if self._listener:
            self._listener.close()
            self._listener = None
            if self._family_address[0] is socket.AF_UNIX:
                Path(self.address).unlink(missing_ok=True)
