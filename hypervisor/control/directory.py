"""The directory of the control sockets: one for each running guest, named NAME.sock.

It is $XDG_RUNTIME_DIR/ring3, or ring3-UID in the directory for temporary files, and nobody else's: whoever
can reach a socket may end the guest. A socket whose guest has died without removing it refuses connections
and is removed by whoever meets it. Names are taken and stale sockets removed under a lock on the directory.

Sockets are reached through /proc/self/fd, because a socket's path may have 107 bytes at most (unix(7)).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from hypervisor.errors import RingError

SUFFIX = ".sock"
LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_WAITING = 16  # connections that may wait to be accepted
_PATIENCE_SECONDS = 2.0  # for a guest with as many, which is stopped or very busy


def check_name(name: str) -> str:
    """`name` if a guest can have it. Raises RingError otherwise."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise RingError(f"'{name}' cannot name a guest; use up to {LONGEST_NAME} letters, digits, dots, dashes and "
                        "underscores, not a dot or a dash first")
    return name


def name_from(text: str) -> str:
    """A name for a guest made of any text."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".-")[: LONGEST_NAME - 4] or "guest"


def location() -> Path:
    """Where the sockets are, whether that exists or not. Under sudo the variable names another user's directory."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        with contextlib.suppress(OSError):
            found = os.stat(runtime)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                return Path(runtime) / "ring3"
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"ring3-{os.geteuid()}"


class NotAnswering(RingError):
    """The guest's process is there and says nothing."""


class NameTaken(RingError):
    """Another guest has the name."""


class Directory:
    """The directory, made where it is missing. Use as a context manager.

    Raises RingError where it cannot be made or used, or others can.
    """

    def __init__(self) -> None:
        self.path = location()
        try:
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(0o700)
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError as error:
            raise RingError(f"{self.path} is not open to you; set XDG_RUNTIME_DIR to a directory of yours") from error
        except OSError as error:
            raise RingError(f"{self.path} cannot be used for guests' sockets ({error.strerror}); remove it, or set "
                            "XDG_RUNTIME_DIR to another place") from error
        found = os.fstat(self._fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            os.close(self._fd)
            raise RingError(f"{self.path} is open to others than you; remove it, or set XDG_RUNTIME_DIR to a "
                            "directory of yours")

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._fd)

    def _address(self, name: str) -> str:
        return f"/proc/self/fd/{self._fd}/{name}{SUFFIX}"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def names(self) -> list[str]:
        """Guests that have a socket; some may have died."""
        return sorted(entry.removesuffix(SUFFIX) for entry in os.listdir(self._fd) if entry.endswith(SUFFIX))

    def connect(self, name: str) -> socket.socket | None:
        """A connection to a guest; None where there is none of that name. Removes a stale socket.

        Raises NotAnswering where a guest takes no more connections.
        """
        connection = self._try(name)
        if connection is None:
            with self._locked():
                connection = self._try(name)
                if connection is None:
                    self.remove(name)
        return connection

    def _try(self, name: str) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE_SECONDS)
        try:
            connection.connect(self._address(name))
            return connection
        except (BlockingIOError, TimeoutError):
            connection.close()
            raise NotAnswering(f"guest {name} does not answer; is its ring3 stopped (Ctrl-Z)?") from None
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise RingError(f"guest {name} cannot be reached ({error.strerror}); is {self.path} yours?") from error

    def _is_taken(self, name: str) -> bool:
        try:
            connection = self._try(name)
        except NotAnswering:
            return True
        if connection:
            connection.close()
        return connection is not None

    def remove(self, name: str) -> None:
        """Remove a guest's socket, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name + SUFFIX, dir_fd=self._fd)

    def claim(self, name: str, exactly: bool) -> tuple[str, socket.socket]:
        """Take `name` for a guest, or `name`-2 and so on unless it is wanted `exactly`; a listening socket with it.

        Raises NameTaken where another guest has it, RingError where no socket can be made.
        """
        with self._locked():
            for number in range(1, 10_000):
                candidate = name if number == 1 else f"{name}-{number}"
                if not self._is_taken(candidate):
                    self.remove(candidate)
                    return candidate, self._listen(candidate)
                if exactly:
                    break
        raise NameTaken(f"there is a guest named '{name}' already; choose another --name, or end it: ring3 stop {name}")

    def _listen(self, name: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(self._address(name))
            listener.listen(_WAITING)
        except OSError as error:
            listener.close()
            raise RingError(f"no socket can be made in {self.path} ({error.strerror}); "
                            "set XDG_RUNTIME_DIR to another place") from error
        return listener
