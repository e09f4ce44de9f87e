"""The 16550A where the recorded scripts do not go: the far end, breaks, shared lines, the time-out, modem changes."""

from __future__ import annotations

import pytest

from tests.hypervisor.chips.chips import NONE, Chips, Step, advance, in_, lines, out, send, send_break, take

PORTS = (0x3F8, 0x2F8, 0x3E8, 0x2E8)
LINES = (4, 3, 4, 3)
IER, IIR, FCR, LSR = 1, 2, 2, 5
READY, OVERRUN, BREAK, IDLE, FIFO_ERROR = 0x01, 0x02, 0x10, 0x60, 0x80
CHARACTER = 7 * 1_000_000_000 // 9600  # ns: 5 data bits, as after reset, start and stop; at 9600 baud, as then


@pytest.mark.parametrize("number", range(4))
def test_bytes_go_both_ways(chips: Chips, number: int) -> None:
    base = PORTS[number]
    answers = chips.run([out(base, 0x55), out(base, 0xAA), *[take(port) for port in range(4)], take(number),
                         take(number), in_(base + LSR), send(number, 0x42), in_(base + LSR), in_(base), in_(base + LSR),
                         in_(base)])
    first = [0x55 if port == number else NONE for port in range(4)]
    assert answers == [*first, 0xAA, NONE, IDLE, IDLE | READY, 0x42, IDLE, 0x42], "the register keeps the last"


@pytest.mark.parametrize("number", range(4))
def test_a_byte_that_comes_interrupts(chips: Chips, number: int) -> None:
    base = PORTS[number]
    answers = chips.run([out(base + IER, 1), lines(), send(number, 1), lines(), in_(base + IIR), in_(base), lines(),
                         in_(base + IIR)])
    assert answers == [0, 1 << LINES[number], 4, 1, 0, 1]


def test_two_ports_share_a_line(chips: Chips) -> None:
    answers = chips.run([out(0x3F9, 1), out(0x3E9, 1), send(0, 1), send(2, 2), lines(), in_(0x3F8), lines(), in_(0x3E8),
                         lines()])
    assert answers == [0x10, 1, 0x10, 2, 0]


def test_a_transmitter_that_is_empty_asks_until_that_was_seen(chips: Chips) -> None:
    answers = chips.run([out(0x3F9, 2), lines(), in_(0x3FA), lines(), in_(0x3FA), out(0x3F8, 1), lines(), in_(0x3FA),
                         lines(), out(0x3F8, 1), out(0x3F9, 0), lines()])
    assert answers == [0x10, 2, 0, 1, 0x10, 2, 0, 0]


def fifo(number: int = 0, trigger: int = 0xC0) -> list[Step]:
    return [out(PORTS[number] + FCR, trigger | 7), out(PORTS[number] + IER, 1)]


@pytest.mark.parametrize(("trigger", "level"), [(0, 1), (0x40, 4), (0x80, 8), (0xC0, 14)])
def test_the_fifo_asks_at_its_trigger(chips: Chips, trigger: int, level: int) -> None:
    script = fifo(trigger=trigger)
    for byte in range(14):
        script += [send(0, byte), lines(), in_(0x3FA)]
    script += [step for _ in range(14) for step in (in_(0x3F8), in_(0x3FA))]
    answers = chips.run(script)
    filling, emptying = answers[:28], answers[28:]
    assert filling[::2] == [0x10 if count >= level else 0 for count in range(1, 15)]
    assert filling[1::2] == [0xC4 if count >= level else 0xC1 for count in range(1, 15)]
    assert emptying[::2] == list(range(14))
    assert emptying[1::2] == [0xC4 if count >= level else 0xC1 for count in range(13, -1, -1)]


def test_the_fifo_times_out(chips: Chips) -> None:
    """Four characters after the last one came or was read."""
    wait = [advance(4 * CHARACTER - 2), in_(0x3FA), advance(2), in_(0x3FA), lines()]
    answers = chips.run([*fifo(), send(0, 1), send(0, 2), advance(CHARACTER), send(0, 3), *wait, in_(0x3F8), in_(0x3FA),
                         *wait, in_(0x3F8), in_(0x3F8), advance(10 * CHARACTER), in_(0x3FA), lines()])
    assert answers == [0xC1, 0xCC, 0x10, 1, 0xC1, 0xC1, 0xCC, 0x10, 2, 3, 0xC1, 0]


def test_what_the_fifo_cannot_hold_waits_at_the_far_end(chips: Chips) -> None:
    answers = chips.run([*fifo(), *[send(0, byte) for byte in range(100)], in_(0x3FD), *[in_(0x3F8)] * 100, in_(0x3FD)])
    assert answers == [IDLE | READY, *range(100), IDLE]


@pytest.mark.parametrize("fifos", [False, True])
def test_a_break_comes_behind_what_was_sent_before(chips: Chips, fifos: bool) -> None:
    script = fifo() if fifos else [out(0x3F9, 1)]
    answers = chips.run([*script, out(0x3F9, 5), send(0, 0x41), send_break(0), in_(0x3F8), in_(0x3FA), in_(0x3FD),
                         in_(0x3F8), in_(0x3FD)])
    status = IDLE | READY | BREAK | (FIFO_ERROR if fifos else 0)
    assert answers == [0x41, 0xC6 if fifos else 6, status, 0, IDLE]


def test_an_overrun_of_the_loop(chips: Chips) -> None:
    """Without FIFO the last byte stays, with it the first sixteen."""
    script = [out(0x3FC, 0x10), out(0x3F9, 4), *[out(0x3F8, byte) for byte in range(20)]]
    answers = chips.run([*script, in_(0x3FA), in_(0x3FD), in_(0x3FD), in_(0x3F8)])
    assert answers == [6, IDLE | READY | OVERRUN, IDLE | READY, 19]
    answers = chips.run([*fifo(), *script, in_(0x3FA), in_(0x3FD), in_(0x3FD), *[in_(0x3F8)] * 17])
    assert answers == [0xC6, IDLE | READY | OVERRUN, IDLE | READY, *range(16), 0]


def test_modem_lines(chips: Chips) -> None:
    """A far end is there; looped, the outputs are the inputs, and changes are noted until they are read."""
    answers = chips.run([in_(0x3FE), out(0x3F9, 8), out(0x3FC, 0x1F), in_(0x3FA), in_(0x3FE), in_(0x3FE), lines(),
                         out(0x3FC, 0x1B), lines(), in_(0x3FE), out(0x3FC, 0x1F), in_(0x3FE), out(0x3FC, 0), in_(0x3FE),
                         in_(0x3FE)])
    assert answers == [0xB0, 1, 0xF0, 0xF0, 0, 0x10, 0xB4, 0xF0, 0xB4, 0xB0], "RI notes only its end"


def test_divisor_format_and_scratch_are_kept(chips: Chips) -> None:
    answers = chips.run([out(0x3FB, 0x83), out(0x3F8, 0x34), out(0x3F9, 0x12), in_(0x3F8), in_(0x3F9), in_(0x3FB),
                         out(0x3FB, 3), in_(0x3F9), out(0x3FF, 0x5A), in_(0x3FF), out(0x3FC, 0xEB), in_(0x3FC),
                         take(0)])
    assert answers == [0x34, 0x12, 0x83, 0, 0x5A, 0x0B, NONE]
