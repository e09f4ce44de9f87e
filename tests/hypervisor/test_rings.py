"""The console rings: order, wrap-around, back-pressure, heads that lie."""

from __future__ import annotations

import pytest

from hypercalls import layout
from hypervisor.rings import SerialRings
from tests.hypervisor.fakes import FakeState


@pytest.fixture
def state() -> FakeState:
    return FakeState()


def guest_prints(state: FakeState, data: bytes) -> None:
    for byte in data:
        at = layout.CONSOLE_OUT_OFFSET + state.control.serial[0].out_head % layout.CONSOLE_OUT_SIZE
        state.window(at, 1)[0] = byte
        state.control.serial[0].out_head += 1


def test_output_comes_in_order_also_around_the_end(state: FakeState) -> None:
    rings = SerialRings(state, lambda: None)
    for number in range(5):
        data = bytes([number]) * (layout.CONSOLE_OUT_SIZE // 2 - 7) + b"end"
        guest_prints(state, data)
        assert rings.drain() == data
        assert state.control.serial[0].out_tail == state.control.serial[0].out_head
    assert rings.drain() == b""


def test_a_lying_head_gives_no_more_than_the_ring(state: FakeState) -> None:
    rings = SerialRings(state, lambda: None)
    state.control.serial[0].out_head = 0xFFFF_FFF0
    assert len(rings.drain()) == layout.CONSOLE_OUT_SIZE


def test_input_stops_where_the_guest_does_not_read(state: FakeState) -> None:
    woken = []
    rings = SerialRings(state, lambda: woken.append(1))
    assert rings.feed(b"x" * 5000) == layout.CONSOLE_IN_SIZE
    assert rings.feed(b"y") == 0 and woken == [1]
    state.control.serial[0].in_tail += 10
    assert rings.feed(b"0123456789abc") == 10
    assert bytes(state.window(layout.CONSOLE_IN_OFFSET, 12)) == b"0123456789xx"
    assert state.control.serial[0].in_head == layout.CONSOLE_IN_SIZE + 10


def test_a_lying_tail_does_not_break_input(state: FakeState) -> None:
    rings = SerialRings(state, lambda: None)
    state.control.serial[0].in_tail = 77
    assert 0 <= rings.feed(b"abc") <= 3
