"""The 8254 against a model that counts tick by tick, and what a guest calibrates by."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hypervisor.chips.chips import NONE, Chips, Step, acknowledge, advance, in_, inta, jump, out, pending, policy
from tests.hypervisor.chips.pit_model import Counter

HZ = 1_193_182
SECOND = 1_000_000_000
LOW, HIGH, BOTH = 1, 2, 3
SPEAKER = 2
DISCARD, SLEW = 0, 1
# Automatic end of interrupt: each acknowledge cycle makes way for the next.
OPEN = [out(0x20, 0x11), out(0x21, 0x20), out(0x21, 4), out(0x21, 3), out(0x21, 0xFE)]
IRQ0 = 0x20


def ns_at(tick: int) -> int:
    """When a tick begins, counted from the chips' start."""
    return -(-tick * SECOND // HZ)


class Play:
    """A script for a counter and what its model expects of it."""

    def __init__(self, channel: int) -> None:
        self.channel, self.tick = channel, 0
        self.script: list[Step] = [*OPEN, out(0x61, 1)]
        self.expected: list[int | None] = []  # None: not compared
        self.counter: Counter | None = None
        self.access, self.edges = BOTH, 0

    def mode(self, mode: int, bcd: bool, access: int) -> None:
        gate = self.counter.gate if self.counter else True
        self.counter, self.access, self.edges = Counter(mode, bcd, gate), access, 0
        self.script.append(out(0x43, self.channel << 6 | access << 4 | mode << 1 | bcd))

    def write(self, count: int) -> None:
        assert self.counter
        if self.access == LOW:
            count %= 100 if self.counter.bcd else 256
        elif self.access == HIGH:
            count -= count % (100 if self.counter.bcd else 256)
        value = int(str(count), 16) if self.counter.bcd else count
        if self.access & LOW:
            self.script.append(out(0x40 + self.channel, value & 0xFF))
        if self.access == BOTH:
            self.counter.write_first_byte()
        if self.access & HIGH:
            self.script.append(out(0x40 + self.channel, value >> 8))
        self.counter.write(count)

    def gate(self, level: bool) -> None:
        if self.channel == SPEAKER:
            self.script.append(out(0x61, int(level)))
            if self.counter:
                self.counter.set_gate(level)

    def ticks(self, number: int) -> None:
        for _ in range(number):
            self.script.append(advance(ns_at(self.tick + 1) - ns_at(self.tick)))
            self.tick += 1
            if self.counter:
                self.counter.tick()
            if self.channel == 0:
                self._interrupt()

    def _interrupt(self) -> None:
        self.script.append(acknowledge())
        counter = self.counter
        if counter is None:
            self.expected.append(None)
            return
        self.expected.append(IRQ0 if counter.edges > self.edges else NONE)
        self.edges = counter.edges

    def look(self) -> None:
        """Count, status and pin, now."""
        counter = self.counter
        if counter is None:
            return
        self.script.append(out(0x43, 0xC0 | 2 << self.channel))
        self.script += [in_(0x40 + self.channel)] * (3 if self.access == BOTH else 2)
        flags = counter.output << 7 | counter.null << 6
        self.expected.append(flags | self.access << 4 | counter.mode << 1 | counter.bcd)
        halves = [counter.value & 0xFF, counter.value >> 8]
        known = counter.count is not None
        for half in halves[self.access == HIGH : 1 + (self.access != LOW)]:
            self.expected.append(half if known else None)
        if self.channel == SPEAKER:
            self.script.append(in_(0x61))
            self.expected.append(None)


counts = st.one_of(st.integers(2, 12), st.integers(2, 60), st.integers(200, 700), st.sampled_from([0, 9999]))
actions = st.one_of(
    st.tuples(st.just("mode"), st.integers(0, 5), st.booleans(), st.sampled_from([LOW, HIGH, BOTH, BOTH, BOTH])),
    st.tuples(st.just("write"), counts),
    st.tuples(st.just("write"), counts),
    st.tuples(st.just("gate"), st.booleans()),
    st.tuples(st.just("ticks"), st.integers(1, 40)),
    st.tuples(st.just("ticks"), st.integers(1, 6)),
)


@given(st.sampled_from([0, SPEAKER]), st.integers(0, 5), st.booleans(), st.lists(actions, max_size=40))
def test_counters_count_as_the_data_sheet_says(
    chips: Chips, channel: int, mode: int, bcd: bool, moves: list[tuple[int, ...]]
) -> None:
    play = Play(channel)
    play.mode(mode, bcd, BOTH)
    for name, *arguments in moves:
        getattr(play, str(name))(*arguments)
        play.look()
    got = chips.run(play.script)
    assert [want if want is not None else have for want, have in zip(play.expected, got, strict=True)] == got


def test_a_latched_count_stands_until_it_is_read(chips: Chips) -> None:
    load = [out(0x43, 0x34), out(0x40, 0), out(0x40, 0x10)]
    answers = chips.run([*load, out(0x43, 0), advance(SECOND // 1000), out(0x43, 0), in_(0x40), in_(0x40), in_(0x40)])
    assert answers[:2] == [0, 0x10] and answers[2] != 0


def test_status_comes_before_the_count(chips: Chips) -> None:
    load = [out(0x43, 0x34), out(0x40, 7), out(0x40, 0x10)]
    assert chips.run([*load, out(0x43, 0xC2), in_(0x40), in_(0x40), in_(0x40)]) == [0xB4, 7, 0x10]
    assert chips.run([*load, out(0x43, 0xE2), in_(0x40), in_(0x40)]) == [0xB4, 7]


def test_the_speaker_output_measures_time(chips: Chips) -> None:
    """What kernels calibrate by: 10 ms in mode 0, begun by the gate."""
    start = [out(0x61, 0), out(0x43, 0xB0), out(0x42, 11932 & 0xFF), out(0x42, 11932 >> 8), advance(SECOND), in_(0x61),
             out(0x61, 1)]
    answers = chips.run([*start, advance(ns_at(11932) - 1), in_(0x61), advance(1), in_(0x61)])
    assert [answer >> 5 & 1 for answer in answers] == [0, 0, 1]


def test_the_refresh_request_toggles(chips: Chips) -> None:
    answers = chips.run([step for _ in range(100) for step in (in_(0x61), advance(ns_at(18)))])
    assert sum(a != b for a, b in pairwise(answers)) in range(90, 100)
    assert chips.run([out(0x61, 0xFF), in_(0x61)])[0] & 0xCF == 0x0F, "two more bits are kept"


def counted(chips: Chips, steps: list[Step]) -> int:
    return chips.run(steps).count(IRQ0)


@pytest.mark.parametrize("divisor", [1193, 11932, 65536])
@pytest.mark.parametrize("mode", [0x34, 0x36])
def test_interrupts_keep_true_to_time(chips: Chips, divisor: int, mode: int) -> None:
    """An hour's number of them is the hour's, to the last."""
    start = [*OPEN, out(0x43, mode), out(0x40, divisor & 0xFF), out(0x40, divisor >> 8 & 0xFF)]
    number = 3 * HZ // divisor
    period = [advance(-(-divisor * SECOND // HZ) + 100), acknowledge()]
    assert counted(chips, [*start, *period * number]) == number
    hour = 3600 * HZ // divisor
    late = chips.run([*start, jump(ns_at(hour * divisor) - 1), acknowledge(), advance(1), acknowledge()])
    assert late == [IRQ0, IRQ0], "the phase is kept"


def late(policy_value: int) -> list[Step]:
    """A guest at 1000 Hz that does not run for 100 ms, and then for 100 ms does."""
    return [*OPEN, policy(policy_value), out(0x43, 0x34), out(0x40, 1193 & 0xFF), out(0x40, 1193 >> 8),
            jump(SECOND // 10), acknowledge(),
            *[step for _ in range(10_000) for step in (advance(10_000), acknowledge())]]


def test_lost_ticks_are_forgotten_or_handed_in(chips: Chips) -> None:
    due = 200_000_000 * HZ // SECOND // 1193
    assert counted(chips, late(DISCARD)) == due - 99
    assert counted(chips, late(SLEW)) == due


def test_ticks_that_the_guest_does_not_take_are_lost_ticks(chips: Chips) -> None:
    def untaken(policy_value: int) -> int:
        return counted(chips, [*OPEN, policy(policy_value), out(0x43, 0x34), out(0x40, 1193 & 0xFF),
                               out(0x40, 1193 >> 8), advance(SECOND // 10),
                               *[step for _ in range(300) for step in (acknowledge(), advance(SECOND // 3000))],
                               acknowledge()])

    due = 200_000_000 * HZ // SECOND // 1193
    assert untaken(SLEW) == due and untaken(DISCARD) == due - 99


def test_ticks_of_a_masked_line_are_not_owed(chips: Chips) -> None:
    masked = [*OPEN, policy(SLEW), out(0x43, 0x34), out(0x40, 1193 & 0xFF), out(0x40, 1193 >> 8), out(0x21, 0xFF),
              advance(SECOND), out(0x21, 0xFE), acknowledge(), acknowledge(), advance(SECOND // 2000), acknowledge()]
    assert chips.run(masked) == [IRQ0, NONE, NONE]


def test_a_masked_request_shows(chips: Chips) -> None:
    steps = [*OPEN, out(0x21, 0xFF), out(0x43, 0x30), out(0x40, 100), out(0x40, 0), out(0x20, 0x0A), in_(0x20),
             advance(ns_at(101)), in_(0x20), pending()]
    assert chips.run(steps) == [0, 1, 0]


def test_spurious_interrupts_of_the_8259s(chips: Chips) -> None:
    """An acknowledge cycle without a request gives line 7 of the chip that answers, and nothing is in service."""
    assert chips.run([*OPEN, inta(), out(0x20, 0x0B), in_(0x20)]) == [0x27, 0]
