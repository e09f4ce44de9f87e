"""The real-time clock, as its data sheet has it: formats, setting, flags, alarms, periodic interrupts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hypervisor.chips.chips import FIRST_SECOND, NONE, Chips, Step, acknowledge, advance, in_, out, set_host_clock

CLOCK = (0, 2, 4, 6, 7, 8, 9, 0x32)
SECOND = 1_000_000_000
NOW = datetime.fromtimestamp(FIRST_SECOND, UTC)
IRQ8 = 0x70


def read(index: int) -> list[Step]:
    return [out(0x70, index), in_(0x71)]


def write(index: int, value: int) -> list[Step]:
    return [out(0x70, index), out(0x71, value)]


def time() -> list[Step]:
    return [step for index in CLOCK for step in read(index)]


def bcd(value: int) -> int:
    return value // 10 << 4 | value % 10


def registers(moment: datetime) -> list[int]:
    """The clock's bytes in BCD and 24 hours."""
    fields = (moment.second, moment.minute, moment.hour, moment.isoweekday() % 7 + 1, moment.day, moment.month,
              moment.year % 100, moment.year // 100)
    return [bcd(field) for field in fields]


def set_clock(moment: datetime) -> list[Step]:
    values = zip(CLOCK, registers(moment), strict=True)
    return [*write(11, 0x82), *(step for index, value in values for step in write(index, value)), *write(11, 0x02)]


def open_line() -> list[Step]:
    """IRQ 8 can come through."""
    return [out(0x21, 0xFB), out(0xA1, 0xFE)]


def end_of_interrupt() -> list[Step]:
    return [out(0xA0, 0x20), out(0x20, 0x20)]


def test_bcd_and_24_hours_at_start(chips: Chips) -> None:
    assert chips.run(time()) == registers(NOW) == [0x05, 0x04, 0x15, 5, 0x29, 0x02, 0x24, 0x20]


@pytest.mark.parametrize(("register_b", "hour"), [(0x06, 15), (0x02, 0x15), (0x04, 0x83), (0x00, 0x83)])
def test_hour_formats(chips: Chips, register_b: int, hour: int) -> None:
    assert chips.run([*write(11, register_b), *read(4)]) == [hour]


@pytest.mark.parametrize(("hour", "register"), [(0, 0x12), (1, 0x01), (12, 0x92), (23, 0x91)])
def test_twelve_hours_both_ways(chips: Chips, hour: int, register: int) -> None:
    answers = chips.run([*write(4, bcd(hour)), *write(11, 0), *read(4), *write(4, register), *write(11, 6), *read(4)])
    assert answers == [register, hour]


@given(st.datetimes(datetime(1, 1, 1), datetime(9998, 12, 31)), st.integers(0, 400 * 86400))
def test_any_time_can_be_set_and_goes_on(chips: Chips, moment: datetime, seconds: int) -> None:
    """Through the ends of months, leap years and centuries."""
    answers = chips.run([*set_clock(moment), *time(), advance(seconds * SECOND), *time()])
    assert answers == registers(moment) + registers(moment + timedelta(seconds=seconds))


def test_the_clock_stands_while_it_is_set(chips: Chips) -> None:
    answers = chips.run([*write(11, 0x82), *write(0, 0x59), advance(5 * SECOND), *read(0), *write(11, 2),
                         advance(SECOND), *read(0), *read(2)])
    assert answers == [0x59, 0, 5]


@pytest.mark.parametrize(("index", "value"), [(8, 0x13), (8, 0), (7, 0x30), (7, 0), (4, 0x24), (2, 0x60), (0, 0x75)])
def test_a_time_that_does_not_exist_changes_nothing(chips: Chips, index: int, value: int) -> None:
    assert chips.run([*write(index, value), *time()]) == registers(NOW)


def test_an_update_is_flagged_at_the_end_of_each_second(chips: Chips) -> None:
    answers = chips.run([*read(10), advance(SECOND - 3_000_000), *read(10), advance(2_000_000), *read(10),
                         *write(11, 0x82), *read(10)])
    assert answers == [0x26, 0x26, 0xA6, 0x26]


def test_the_divider_held_in_reset_holds_the_clock(chips: Chips) -> None:
    """Its first update comes half a second after it was let go."""
    answers = chips.run([*write(10, 0x70), advance(10 * SECOND), *read(0), *write(10, 0x26), advance(SECOND // 2 - 1),
                         *read(0), advance(1), *read(0)])
    assert answers == [5, 5, 6]


def test_flags_are_set_without_interrupts_and_cleared_by_reading(chips: Chips) -> None:
    answers = chips.run([*open_line(), *read(12), advance(1_000_000), *read(12), *read(12), advance(SECOND), *read(12),
                         acknowledge()])
    assert answers == [0, 0x40, 0, 0x50, NONE]


@pytest.mark.parametrize(("select", "per_second"), [
    (0, 0), (1, 256), (2, 128), (3, 8192), (4, 4096), (6, 1024), (8, 256), (9, 128), (15, 2)])
def test_periodic_interrupts(chips: Chips, select: int, per_second: int) -> None:
    """Each once, at its rate exactly; none while the last one's flags are not read."""
    script = [*open_line(), *write(10, 0x20 | select), *write(11, 0x42), *read(12)]
    for number in range(16384):
        step = (number + 1) * SECOND // 16384 - number * SECOND // 16384
        script += [advance(step), acknowledge(), *end_of_interrupt(), *read(12)]
    answers = chips.run(script)[1:]
    assert answers[::2].count(IRQ8) == per_second == sum(flags & 0x80 != 0 for flags in answers[1::2])


def test_no_further_interrupt_before_the_flags_are_read(chips: Chips) -> None:
    answers = chips.run([*open_line(), *write(10, 0x23), *write(11, 0x42), advance(SECOND), acknowledge(),
                         *end_of_interrupt(), advance(SECOND), acknowledge(), *read(12), advance(200_000),
                         acknowledge()])
    assert answers == [IRQ8, NONE, 0xD0, IRQ8]


def test_update_interrupts_come_each_second(chips: Chips) -> None:
    second = [advance(SECOND - 1), acknowledge(), advance(1), acknowledge(), *end_of_interrupt(), *read(12)]
    assert chips.run([*open_line(), *write(11, 0x12), *second, *second]) == [NONE, IRQ8, 0xD0] * 2
    assert chips.run([*open_line(), *write(11, 0x12), *write(11, 0x92), *read(11)]) == [0x82], "SET clears the enable"


@pytest.mark.parametrize(("alarm", "after"), [
    ((0x06, 0x04, 0x15), 1), ((0x05, 0x05, 0x15), 60), ((0x04, 0x04, 0x15), 86399), ((0xFF, 0xC0, 0xFF), 1),
    ((0x00, 0xFF, 0xFF), 55), ((0xFF, 0x10, 0xFF), 355), ((0x00, 0x00, 0xFF), 3355), ((0x30, 0x30, 0x03), 44785)])
def test_alarms(chips: Chips, alarm: tuple[int, int, int], after: int) -> None:
    """At their second, not before; a field of 0xc0 and more is any."""
    script = [*open_line()]
    for index, value in zip((1, 3, 5), alarm, strict=True):
        script += write(index, value)
    script += [*write(11, 0x22), advance(after * SECOND - 1), acknowledge(), advance(1), acknowledge(), *read(12)]
    assert chips.run(script) == [NONE, IRQ8, 0xF0]


@pytest.mark.parametrize("seconds", [-5000, 5000])
def test_the_host_s_time_may_be_set(chips: Chips, seconds: int) -> None:
    """The clock follows, and its interrupts go on."""
    moved = FIRST_SECOND + seconds
    answers = chips.run([*open_line(), *write(11, 0x12), advance(SECOND), acknowledge(), *end_of_interrupt(), *read(12),
                         set_host_clock(moved * SECOND), *time(), *read(12), *end_of_interrupt(), advance(SECOND),
                         acknowledge(), *read(12)])
    assert answers[:2] == [IRQ8, 0xD0] and answers[-2:] == [IRQ8, 0xD0]
    assert answers[2:-3] == registers(datetime.fromtimestamp(moved, UTC))


def test_an_alarm_with_hours_of_the_afternoon(chips: Chips) -> None:
    script = [*open_line(), *write(11, 0x20), *write(1, 0), *write(3, 0), *write(5, 0x84), advance(3355 * SECOND - 1),
              acknowledge(), advance(1), acknowledge()]
    assert chips.run(script) == [NONE, IRQ8]


def test_battery_index_and_other_bytes(chips: Chips) -> None:
    answers = chips.run([*read(13), *write(13, 0), *read(13), *write(12, 0xFF), *write(0x0F, 0x0A), out(0x70, 0x8F),
                         in_(0x71), in_(0x70)])
    assert answers == [0x80, 0x80, 0x0A, 0xFF], "bit 7 of the index masks NMI only"
