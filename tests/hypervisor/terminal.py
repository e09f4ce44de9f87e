"""``ring3 run`` on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import IO

from tests.samples.kernels import RING3, environment

SECONDS = 15


class Terminal:
    """A run on a terminal of so many rows and columns, with the terminal's state before it started."""

    def __init__(
        self, kernel: Path, *options: str, size: tuple[int, int] = (25, 80), stdout: IO[bytes] | None = None,
        **variables: str,
    ) -> None:  # fmt: skip
        self.master, self.slave = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.output = b""
        self.process = subprocess.Popen(
            [*RING3, "run", *options, str(kernel)], stdin=self.slave, stdout=stdout or self.slave, stderr=self.slave,
            env=environment() | {"TERM": "xterm"} | variables, start_new_session=True,
        )  # fmt: skip

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def read(self, seconds: float) -> bool:
        """Take what comes within `seconds`; whether anything did."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            data = os.read(self.master, 65536)
            self.output += data
            self.received(data)
        return bool(ready)

    def received(self, data: bytes) -> None:
        """Output has come; for subclasses."""

    def expect(self, text: bytes) -> None:
        """Read until `text` has been printed."""
        deadline = time.monotonic() + SECONDS
        while text not in self.output:
            assert self.read(max(deadline - time.monotonic(), 0)), f"{text!r} did not come; so far: {self.output!r}"

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before

    def wait(self) -> int:
        """Exit status; keeps reading, so that the program never waits for the terminal."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.02)
        status = self.process.wait(0)
        while self.read(0):
            pass
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)
