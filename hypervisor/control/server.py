"""The control socket of one `ring3 run`: answers questions about its guest while that runs.

Everything happens in threads of its own, which sleep until somebody connects: a guest's exits are served by
the main thread and wait for none of this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hypervisor.control import VERSION
from hypervisor.control.directory import Directory, NameTaken, check_name, name_from
from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.domain import Domain

_PATIENCE_SECONDS = 5.0  # for a client that is slow to ask or to listen
_LONGEST_REQUEST = 65536
_MOST_CLIENTS = 16
_MOST_DESCRIPTORS = 4  # with one request
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)


class ControlServer:
    """Answers for one guest, which may be several domains in turn (a guest that restarts).

    `name` is the guest's name; it differs from the one wished for where that was taken and not insisted on.
    Raises RingError where a name that was insisted on (`wanted`) is taken, or cannot be a name. Where there is
    no place for sockets the guest runs without one, and `problem` says why.
    """

    def __init__(self, wanted: str, otherwise: str) -> None:
        self._domain: Domain | None = None
        self._using = threading.Lock()  # of the domain, by an answer
        self.started = time.monotonic()
        self.name = check_name(wanted) if wanted else name_from(otherwise)
        self.problem = ""
        self._listener: socket.socket | None = None
        self._clients = threading.BoundedSemaphore(_MOST_CLIENTS)
        self._main = threading.get_ident()
        self._stopping = threading.Lock()
        self._may_stop = True
        try:
            self._directory = Directory()
        except RingError as error:
            self.problem = f"no control socket: {error}"
            return
        try:
            self.name, self._listener = self._directory.claim(self.name, exactly=bool(wanted))
        except RingError as error:
            self._directory.close()
            if isinstance(error, NameTaken):
                raise
            self.problem = f"no control socket: {error}"
            return
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the name free. Connections end with the process: who waits for the guest's end learns of it then."""
        self.no_more_stops()
        if self._listener:
            self._directory.remove(self.name)
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._directory.close()

    @contextlib.contextmanager
    def serving(self, domain: Domain) -> Iterator[None]:
        """Answer for a domain that has been built; afterwards no answer uses it any more."""
        with self._using:
            self._domain = domain
        try:
            yield
        finally:
            with self._using:
                self._domain = None

    def stop(self) -> None:
        """Let the main thread end the guest, as Ctrl-A x does; once, and not when the guest has ended by itself."""
        with self._stopping:
            if self._may_stop:
                self._may_stop = False
                signal.pthread_kill(self._main, signal.SIGUSR1)

    def no_more_stops(self) -> None:
        """The guest has ended: nothing is to interrupt what is told of that, and the clearing up."""
        with self._stopping:
            self._may_stop = False

    # --- in threads of its own --------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._listener
        with self._listener as listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # shut down
                if self._clients.acquire(blocking=False):
                    threading.Thread(target=self._serve, args=(connection,), name="control client", daemon=True).start()
                else:
                    connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                if self._is_ours(connection):
                    connection.settimeout(_PATIENCE_SECONDS)
                    self._converse(connection)
        finally:
            self._clients.release()

    @staticmethod
    def _is_ours(connection: socket.socket) -> bool:
        """Whether our own user, or root, asks."""
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return _CREDENTIALS.unpack(credentials)[1] in (os.geteuid(), 0)

    def _converse(self, connection: socket.socket) -> None:
        data = b""
        fds: list[int] = []
        try:
            while True:
                received, more, _, _ = socket.recv_fds(connection, _LONGEST_REQUEST, _MOST_DESCRIPTORS)
                data, fds = data + received, fds + more
                while b"\n" in data or len(data) >= _LONGEST_REQUEST or (data and not received):
                    line, _, data = data.partition(b"\n")
                    given, fds = fds, []
                    answer, stops = self._answer(line, given)
                    connection.sendall(answer)
                    if stops:
                        self.stop()
                        connection.settimeout(None)  # the client waits for our end
                if not received:
                    return
        finally:
            _close(fds)

    def _answer(self, line: bytes, fds: list[int]) -> tuple[bytes, bool]:
        """The answer, a line, and whether the guest is to be ended. Closes those of `fds` that nobody has taken."""
        import json  # not before somebody asks: guests start faster

        try:
            request = json.loads(line)
            version, command, arguments = request["version"], request["command"], request.get("arguments", {})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            answer = _refusal("a request is an object in one line of JSON with 'version' and 'command'")
        else:
            answer = self._respond(version, command, arguments, fds)
        _close(fds)
        return json.dumps({"version": VERSION} | answer).encode() + b"\n", bool(answer.get("stops"))

    def _respond(self, version: object, command: object, arguments: object, fds: list[int]) -> dict[str, Any]:
        from hypervisor.control.answers import COMMANDS, WITHOUT_DOMAIN
        from hypervisor.control.request import Request

        if version != VERSION:
            return _refusal(f"version {version} is not spoken here, only {VERSION}")
        answer = COMMANDS.get(command) if isinstance(command, str) else None
        if answer is None:
            return _refusal(f"there is no command '{command}'; there are {', '.join(COMMANDS)}")
        with self._using:
            if self._domain is None and command not in WITHOUT_DOMAIN:
                return _refusal(f"guest {self.name} is only starting; ask again")
            try:
                result = answer(self._domain, Request(self.name, self.started, arguments, fds))
            except RingError as error:
                return _refusal(str(error))
        return {"ok": True, "stops": command == "stop", "result": result}


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


def _refusal(reason: str) -> dict[str, Any]:
    return {"ok": False, "error": reason}
