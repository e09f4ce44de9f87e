"""The limit of a guest's time leaves that of its test in force."""

from __future__ import annotations

import signal
import time

import pytest

from tests.hypervisor.engine.guests import TimeIsUp, time_limit


def test_an_outer_limit_goes_on() -> None:
    class Outer(Exception):
        pass

    def alarm(_number: int, _frame: object) -> None:
        raise Outer

    handler, timer = signal.signal(signal.SIGALRM, alarm), signal.getitimer(signal.ITIMER_REAL)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(TimeIsUp), time_limit(0.05):
            time.sleep(10)
        with pytest.raises(Outer):
            time.sleep(10)
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)
