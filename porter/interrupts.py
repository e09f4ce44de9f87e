"""Signals that end a command, seen only where it can be ended in order.

While a signal is *watched* for, it is remembered; `checkpoint` raises it. So temporary files are removed by the
code that made them, and never in the middle of a step such as putting a finished tree in place.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_seen: list[int] = []


class Interrupted(BaseException):
    """A signal asked the command to end. Not an error: nothing but the outermost level is to catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def die(self) -> None:
        """End as the signal would have ended us, so that the parent sees the true cause."""
        if self.number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(self.number, signal.SIG_DFL)
        os.kill(os.getpid(), self.number)


def _remember(number: int, _frame: FrameType | None) -> None:
    _seen.append(number)


@contextmanager
def watched() -> Iterator[None]:
    """Remember signals instead of dying of them; those that are ignored, as by nohup, stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    _seen.clear()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _remember)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def checkpoint() -> None:
    """Raise Interrupted if a signal came since `watched` began."""
    if _seen:
        raise Interrupted(_seen[0])


def ignore_in_worker() -> None:
    """For a process that its parent ends in order: a terminal sends its signals to the whole group."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
