"""Types to a guest as a patient user does: only when the guest asks for it.

So nothing is lost before a guest can receive, and what is echoed does not mix with what is printed.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Keyboard = Callable[[str], None]
"""Types some characters."""


@dataclass(frozen=True)
class Step:
    """``text`` is typed when what has been printed since the step before ends with a match of ``after``."""

    text: str
    after: str


def lines(text: str, prompt: str) -> tuple[Step, ...]:
    """A step for each line of ``text``, to be typed with Return at the prompt, which is a regular expression."""
    return tuple(Step(f"{line}\r", prompt) for line in text.splitlines())


class Conversation:
    """A running command whose standard output is a guest's console, and who types to it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], timeout: float) -> None:
        """Start the command. ``timeout`` (seconds) is for all of it."""
        self._end, self._timeout = time.monotonic() + timeout, timeout
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, env=environment)
        self._printed, self._answered = b"", 0

    def type(self, text: str) -> None:
        """Type to the command's standard input. A guest that has ended does not hear it."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            os.write(self._process.stdin.fileno(), text.encode())

    def play(self, steps: Sequence[Step], keyboard: Keyboard | None = None) -> None:
        """Do the steps, typing to ``keyboard`` or else to standard input."""
        for step in steps:
            self._wait_for(re.compile(f"(?:{step.after})\\Z".encode()), step)
            self._answered = len(self._printed)
            (keyboard or self.type)(step.text)

    def _wait_for(self, awaited: re.Pattern[bytes], step: Step) -> None:
        while not awaited.search(self._printed, self._answered):
            if not self._read():
                raise RuntimeError(f"the guest ended before {step.text!r} could be typed:\n{self._printed.decode()}")

    def _read(self) -> bool:
        """Whether there was more to read. Raises TimeoutError when the time is over."""
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], max(0, self._end - time.monotonic()))[0]:
            raise TimeoutError(f"nothing more was printed within {self._timeout:.0f} s:\n{self._printed.decode()}")
        data = os.read(self._process.stdout.fileno(), 65536)
        self._printed += data
        return bool(data)

    def finish(self) -> subprocess.CompletedProcess[bytes]:
        """Wait for the end of the command; returns its status and all that it printed. Raises TimeoutError."""
        while self._read():
            pass
        _, errors = self._process.communicate(timeout=max(0, self._end - time.monotonic()))
        return subprocess.CompletedProcess(self._process.args, self._process.returncode, self._printed, errors)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
