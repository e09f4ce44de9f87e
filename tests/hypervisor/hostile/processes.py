"""Guests under a time limit, and which host processes are left of one."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from hypervisor.domain import Domain
from hypervisor.outcome import Ending, Outcome, outcome
from tests.hypervisor.engine.guests import Recorder, TimeIsUp

SECONDS_TO_DIE = 1.0


def limited(seconds: float, domain: Domain, console: Recorder | None = None) -> Outcome:
    """Run a built domain to its end, which is TIMEOUT after `seconds`."""

    def alarm(_number: int, _frame: Any) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return domain.run(console or Recorder())
    except TimeIsUp:
        return outcome(Ending.TIMEOUT, "out of time")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def members(session: int) -> list[int]:
    """Processes of a session that live; each guest has one of its own, named by its first process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found


def living(session: int) -> list[int]:
    """Processes of a session that have not ended after the time they are given to die."""
    deadline = time.monotonic() + SECONDS_TO_DIE
    while (left := members(session)) and time.monotonic() < deadline:
        time.sleep(0.005)
    return left
