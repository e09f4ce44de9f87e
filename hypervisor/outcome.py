"""How a guest's run ended, and the exit status of ``ring3 run`` for it.

A guest chooses odd statuses by the debug-exit port, so those that ring3 gives are even.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Ending(Enum):
    """Why the run ended: (name, exit status, meaning). Status None: the guest chose it."""

    POWEROFF = ("poweroff", 0, "the guest switched itself off")
    QUIT = ("quit", 0, "the user ended the guest (Ctrl-A x, ring3 stop)")
    RESET = ("reset", 0, "the guest restarted its machine (the run goes on unless --no-reboot is given)")
    EXIT = ("exit", None, "the guest wrote V to the debug-exit port 0xf4: status (V << 1) | 1")
    TRIPLE_FAULT = ("triple fault", 4, "an exception could not be delivered, nor the double fault after it")
    DEAD_HALT = ("dead halt", 6, "the guest halted with interrupts off: nothing can wake it")
    CRASH = ("crash", 8, "the guest reported its own crash (sched_op shutdown, reason 3)")
    MONITOR = ("monitor ended", 70, "the monitor died or gave up")
    TIMEOUT = ("timeout", 124, "the time given by --timeout is over")

    def __init__(self, title: str, status: int | None, meaning: str) -> None:
        self.title, self.status, self.meaning = title, status, meaning


@dataclass(frozen=True)
class Outcome:
    """The end of a run: `status` for the shell, `cause` in words, `record` the last exit if there is one."""

    ending: Ending
    status: int
    cause: str
    record: Any = None

    @property
    def died(self) -> bool:
        """Whether the guest ended against its will, so that a report helps."""
        return self.ending in (Ending.TRIPLE_FAULT, Ending.DEAD_HALT, Ending.CRASH, Ending.MONITOR)


def outcome(ending: Ending, cause: str, record: Any = None) -> Outcome:
    """The outcome for an ending whose status is fixed."""
    return Outcome(ending, ending.status or 0, cause, record)
