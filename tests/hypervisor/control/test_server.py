"""Stopping a guest from outside: once, and only while there is one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.control import client
from hypervisor.control.server import ControlServer


@pytest.fixture
def stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that have come."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    came: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: came.append(number))
    yield came
    signal.signal(signal.SIGUSR1, before)


def test_a_second_stop_does_not_interrupt_the_clearing_up(stops: list[int]) -> None:
    with ControlServer("guest", "") as server:
        server.stop()
        server.stop()
    assert stops == [signal.SIGUSR1]


def test_a_guest_that_has_ended_is_not_stopped(stops: list[int]) -> None:
    with ControlServer("guest", "") as server:
        server.no_more_stops()
        assert client.ask("guest", "stop")["name"] == "guest"
        server.stop()
    server.stop()
    assert stops == []


def test_what_is_no_request_is_refused(stops: list[int]) -> None:
    with ControlServer("guest", "") as server:
        for line in (b"[" * 60_000, b"{}", b"[]", b"7", b'{"version": 1}', b"\xff"):
            answer, ends = server._answer(line, [])
            assert b"a request is an object in one line of JSON" in answer and not ends
