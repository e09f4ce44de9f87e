"""Guests under a time limit, and which host processes are left of one."""

from __future__ import annotations

import functools
import signal
import tempfile
import time
from pathlib import Path

from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending, Outcome, outcome
from tests.hypervisor.engine.guests import AGAIN, Recorder, TimeIsUp, time_limit
from tests.hypervisor.hostile import stage

SECONDS_TO_DIE = 1.0
SECONDS_TO_START = 5.0


class _Started:
    """A console that starts the guest's time when the guest is started: on a busy host that takes a while."""

    def __init__(self, console: Recorder, seconds: float) -> None:
        self._console, self._seconds = console, seconds

    def open(self, domain: Domain) -> None:
        self._console.open(domain)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, AGAIN)

    def write(self, data: bytes) -> None:
        self._console.write(data)

    def close(self) -> None:
        self._console.close()


def limited(seconds: float, domain: Domain, console: Recorder | None = None) -> Outcome:
    """Run a built domain to its end, which is TIMEOUT after `seconds`."""
    try:
        with time_limit(SECONDS_TO_START + seconds):
            return domain.run(_Started(console or Recorder(), seconds))
    except TimeIsUp:
        return outcome(Ending.TIMEOUT, "out of time")


@functools.cache
def slide_of(forced: bool) -> int:
    """Base of a guest's segments in its host process: not 0 where asked for, or where this host demands it."""
    with tempfile.TemporaryDirectory() as folder:
        kernel = stage.write_elf(Path(folder) / "end.elf", stage.image([], 0))
        with Domain(DomainConfig(kernel, memory=2 * MIB, slide=forced)) as domain:
            domain.build()
            limited(SECONDS_TO_START, domain)
            return int(domain.control.slide)


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
