"""The far ends of a guest's serial ports, but for the console's: a file, a pseudo terminal, or nobody."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hypercalls.layout import SERIAL_COUNT
from hypervisor.errors import RingError
from hypervisor.rings import SerialRings

_READ_SIZE = 1024
_RETRY_SECONDS = 0.005  # between attempts to send while the guest does not read


@dataclass(frozen=True)
class SerialConfig:
    """What port `number` (1 to 3; 0 is the console) is connected to: `kind` is null, file or pty.

    A file is written anew, or, with `append`, behind what it holds.
    """

    number: int
    kind: str
    path: Path | None = None
    append: bool = False


def parse_serial(text: str) -> SerialConfig:
    """`N=null`, `N=pty` or `N=file:PATH`, with ports counted from 1 as users do. RingError for anything else."""
    name, _, target = text.partition("=")
    kind, _, path = target.partition(":")
    if not name.isdecimal() or not 1 <= int(name) <= SERIAL_COUNT:
        raise RingError(f"--serial {text}: '{name}' is no serial port; give 2 to {SERIAL_COUNT}, = and its far end")
    if int(name) == 1:
        raise RingError(f"--serial {text}: the first port is the console; give 2 to {SERIAL_COUNT}")
    if kind == "file" and path:
        return SerialConfig(int(name) - 1, kind, Path(path))
    if target in ("null", "pty"):
        return SerialConfig(int(name) - 1, target)
    raise RingError(f"--serial {text}: '{target}' is no far end; use null, pty or file:PATH")


class _FarEnd(Protocol):
    """Where a port's output goes, and perhaps its input comes from."""

    notice: str

    def open(self, rings: SerialRings) -> None:
        """The guest is about to run."""

    def write(self, data: bytes) -> None:
        """Take what the guest sent."""

    def close(self) -> None:
        """The guest has ended. Legal without `open`, also twice."""


class _Null:
    """Nobody listens."""

    notice = ""

    def open(self, rings: SerialRings) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class _File:
    """Output goes to a file."""

    notice = ""

    def __init__(self, path: Path, append: bool) -> None:
        try:
            self._file = path.open("ab" if append else "wb", buffering=0)
        except OSError as error:
            raise RingError(f"cannot write {path} ({error.strerror}); give another file to --serial") from error

    def open(self, rings: SerialRings) -> None:
        pass

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise RingError(f"cannot write {self._file.name} ({error.strerror}); make room or give another file to "
                            "--serial") from error

    def close(self) -> None:
        self._file.close()


class _Pty:
    """A pseudo terminal for another program to open. What nobody reads there is lost, as on a line."""

    def __init__(self, number: int) -> None:
        try:
            self._master, self._slave = os.openpty()
        except OSError as error:
            raise RingError(f"this host gives no pseudo terminal ({error.strerror}); use --serial with file:PATH"
                            ) from error
        tty.setraw(self._slave)  # held open, so that the line stays up between its users
        os.set_blocking(self._master, False)
        self.notice = f"serial port {number + 1} is {os.ttyname(self._slave)}"
        self._thread: threading.Thread | None = None
        self._stop_read, self._stop_write = os.pipe()
        self._ending = threading.Event()

    def open(self, rings: SerialRings) -> None:
        self._thread = threading.Thread(target=self._read, args=(rings,), name="serial input", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        if self._ending.is_set():
            return
        self._ending.set()
        os.close(self._stop_write)
        if self._thread:
            self._thread.join()
        for fd in (self._stop_read, self._master, self._slave):
            os.close(fd)

    def _read(self, rings: SerialRings) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            data = os.read(self._master, _READ_SIZE)
            while data:
                data = data[rings.feed(data) :]
                if data and self._ending.wait(_RETRY_SECONDS):
                    return


class SerialPort:
    """One port with its rings and its far end. RingError where the far end cannot be opened."""

    def __init__(self, config: SerialConfig, rings: SerialRings) -> None:
        self._rings = rings
        self._end: _FarEnd
        if config.kind == "file" and config.path:
            self._end = _File(config.path, config.append)
        elif config.kind == "pty":
            self._end = _Pty(config.number)
        else:
            self._end = _Null()
        self.notice = self._end.notice  # what the user should know

    def open(self) -> None:
        """The guest is about to run: it may be sent something from now on."""
        self._end.open(self._rings)

    def drain(self) -> None:
        """Hand on what the guest has sent."""
        if self._rings.waiting:
            self._end.write(self._rings.drain())

    def close(self) -> None:
        """Release the far end. Legal at any time, also more than once."""
        self._end.close()
