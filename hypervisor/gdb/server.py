"""Where gdb connects: a socket, watched by a thread while the guest runs and served while it stands still."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypercalls.structs import TRACE_DEBUGGER, DebugAction, DebugPoint, DebugStop
from hypervisor.errors import RingError
from hypervisor.gdb.events import Events
from hypervisor.gdb.packets import INTERRUPT, Reader, frame
from hypervisor.gdb.session import Action, Session
from hypervisor.gdb.target import Target

_AGAIN_SECONDS = 0.1  # the monitor is asked again to stand still, should a signal have been lost
_MOST_AT_ONCE = 65536


class Killed(Exception):
    """gdb has killed the guest."""


@dataclass(frozen=True)
class GdbConfig:
    """Where to listen (`host`, `port`), whether the guest waits for gdb, and events that stop it."""

    host: str
    port: int
    go: bool = False
    events: Events = field(default_factory=Events)

    @classmethod
    def parse(cls, text: str, go: bool, events: Events) -> GdbConfig:
        """From PORT or HOST:PORT. Raises RingError for what is neither."""
        host, _, port = text.rpartition(":")
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise RingError(f"--gdb {text} is no port; write PORT (1 to 65535) or HOST:PORT")
        return cls(host or "127.0.0.1", int(port), go, events)


class Debugger:
    """gdb's side of one guest. `wake` makes the monitor look at a request."""

    def __init__(self, config: GdbConfig, target: Target, control: Any, wake: Callable[[], None]) -> None:
        self._config, self._target, self._control, self._wake = config, target, control, wake
        self._connection: socket.socket | None = None
        self._session: Session | None = None
        self._reader = Reader()
        self._more = False
        self._stops, self._counting = 0, threading.Lock()
        self._running, self._ending = threading.Event(), False
        self._bell_read, self._bell_write = os.pipe()
        os.set_blocking(self._bell_read, False)
        try:
            self._listener = socket.create_server((config.host, config.port), backlog=4)
        except OSError as error:
            self._close_bell()
            reason = os.strerror(error.errno or 0)
            raise RingError(f"--gdb: cannot listen on {config.host}:{config.port} ({reason}); choose another port"
                            ) from error
        config.events.apply(target.block)
        if config.events.watched:
            control.trace_mask |= 1 << TRACE_DEBUGGER
        target.block.request = 0 if config.go else 1
        self._thread = threading.Thread(target=self._watch, name="gdb", daemon=True)

    def start(self) -> None:
        """The guest is about to run."""
        if self._config.go:
            self._running.set()
        self._thread.start()

    # --- while the guest runs (in a thread) -----------------------------------------------------------

    def _watch(self) -> None:
        while self._running.wait() and not self._ending:
            before = self._stops
            ready = self._wait_for_peer()
            if self._ending or self._stops != before:  # what came was for `_serve`
                continue
            if not ready and not self._more:
                continue
            if not self._more and self._connection and self._listener in ready and self._connection not in ready:
                self._refuse()
                continue
            while self._request(before):
                select.select([self._bell_read], [], [], _AGAIN_SECONDS)

    def _request(self, before: int) -> bool:
        """Ask the guest to stand still, unless it has done so since stop number `before`."""
        with self._counting:
            if self._stops != before or self._ending:
                return False
            self._target.block.request = 1
        self._wake()
        return True

    def _wait_for_peer(self) -> list[Any]:
        watched: list[Any] = [self._bell_read, self._listener, *([self._connection] if self._connection else [])]
        try:
            ready = select.select(watched, [], [])[0]
        except (OSError, ValueError):  # closed meanwhile
            return []
        if self._bell_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._bell_read, 64)
            ready.remove(self._bell_read)
        return ready

    def _refuse(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.accept()[0].close()

    # --- while it stands still ------------------------------------------------------------------------

    def stopped(self, record: Any) -> int:
        """Serve gdb until the guest is to go on: a DebugAction. Raises Killed."""
        with self._counting:
            self._stops += 1
        self._running.clear()
        os.write(self._bell_write, b"x")
        told = _stop_reply(record)
        if self._session and self._connection:
            self._session.stop = told
            # A peer that only came (or went) gets no news before it has asked.
            self._send(told.encode())
        answer = self._serve(told)
        self._more = self._reader.waiting  # an interrupt, sent with what lets the guest go on
        if self._more:
            os.write(self._bell_write, b"x")
        self._running.set()
        return int(answer)

    def _serve(self, told: str) -> DebugAction:
        while True:
            while (packet := self._reader.next()) is not None:
                answer = self._take(packet)
                if answer is not None:
                    return answer
            peers = [self._listener, *([self._connection] if self._connection else [])]
            ready = select.select(peers, [], [])[0]
            if self._listener in ready:
                if self._connection and self._connection not in ready:
                    self._refuse()
                elif not self._connection:
                    self._accept(told)
            if self._connection and self._connection in ready:
                try:
                    data = self._connection.recv(_MOST_AT_ONCE)
                except OSError:
                    data = b""
                if not data:
                    self._drop()
                    return DebugAction.CONTINUE
                self._reader.feed(data)

    def _accept(self, told: str) -> None:
        self._connection = self._listener.accept()[0]
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader, self._session = Reader(), Session(self._target, told)

    def _take(self, packet: bytes) -> DebugAction | None:
        assert self._session
        if packet == INTERRUPT:
            return None  # it stands already
        if self._session.acknowledge:
            self._raw(b"-" if packet == b"-" else b"+")
        if packet == b"-":
            return None
        answer, action = self._session.packet(packet)
        if answer is not None:
            self._send(answer)
        if action is Action.KILL:
            self._drop()
            raise Killed
        if action is Action.DETACH:
            self._drop()
            return DebugAction.CONTINUE
        return {Action.CONTINUE: DebugAction.CONTINUE, Action.STEP: DebugAction.STEP}.get(action)

    def _send(self, data: bytes) -> None:
        self._raw(frame(data))

    def _raw(self, data: bytes) -> None:
        if self._connection:
            with contextlib.suppress(OSError):  # who has gone is found by reading
                self._connection.sendall(data)

    def _drop(self) -> None:
        """gdb has gone: its points go, too."""
        if self._connection:
            self._connection.close()
        self._connection = self._session = None
        self._target.remove_all()

    # --- the end ----------------------------------------------------------------------------------------

    def ended(self, status: int) -> None:
        """The guest has ended with `status`."""
        self._send(b"W%02x" % (status & 0xFF))

    def close(self) -> None:
        """Leave nothing behind. Legal at any time, also twice."""
        if self._ending:
            return
        self._ending = True
        os.write(self._bell_write, b"x")
        self._running.set()
        if self._thread.ident:
            self._thread.join()
        if self._connection:
            self._connection.close()
        self._listener.close()
        self._close_bell()

    def _close_bell(self) -> None:
        os.close(self._bell_read)
        os.close(self._bell_write)


_WATCH = {DebugPoint.WRITE: "watch", DebugPoint.READ: "rwatch", DebugPoint.ACCESS: "awatch"}


def _stop_reply(record: Any) -> str:
    """gdb's stop reply for an exit DEBUG."""
    if record.code == DebugStop.REQUEST:
        return "T02thread:01;"
    if record.code == DebugStop.WATCH and record.port in list(_WATCH):
        return f"T05{_WATCH[DebugPoint(record.port)]}:{record.address:x};thread:01;"
    return "T05thread:01;"
