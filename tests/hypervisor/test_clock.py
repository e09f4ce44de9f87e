"""The time-stamp counter against the host's clock."""

from __future__ import annotations

import time

import pytest

from hypervisor.clock import read_tsc, tsc_hz


def test_the_counter_runs_at_the_frequency_measured() -> None:
    before, tsc = time.monotonic(), read_tsc()
    time.sleep(0.1)
    elapsed, cycles = time.monotonic() - before, read_tsc() - tsc
    assert cycles / tsc_hz() == pytest.approx(elapsed, rel=0.02)


def test_the_counter_never_goes_back() -> None:
    values = [read_tsc() for _ in range(1000)]
    assert values == sorted(values)
