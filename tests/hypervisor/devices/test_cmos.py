"""The real-time clock's formats, the update flag, setting the time, memory sizes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hypervisor.devices.cmos import Cmos
from hypervisor.memory_map import GIB, MIB
from tests.hypervisor.devices.machine import Machine

NOW = datetime(2024, 2, 29, 15, 4, 5, tzinfo=UTC)
CLOCK = (0, 2, 4, 6, 7, 8, 9, 0x32)


class Clock:
    """A clock that stands until it is moved (ns)."""

    def __init__(self) -> None:
        self.now = int(NOW.timestamp()) * 10**9

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guest(clock: Clock) -> Machine:
    return Machine(Cmos(256 * MIB, clock))


def read(guest: Machine, index: int) -> int:
    guest.out(0x70, index)
    return guest.in_(0x71)


def write(guest: Machine, index: int, value: int) -> None:
    guest.out(0x70, index)
    guest.out(0x71, value)


def test_bcd_and_24_hours_at_start(guest: Machine) -> None:
    assert [read(guest, index) for index in CLOCK] == [0x05, 0x04, 0x15, 5, 0x29, 0x02, 0x24, 0x20]


@pytest.mark.parametrize(("register_b", "hour"), [(0x06, 15), (0x02, 0x15), (0x04, 0x83), (0x00, 0x83)])
def test_hour_formats(guest: Machine, register_b: int, hour: int) -> None:
    write(guest, 11, register_b)
    assert read(guest, 4) == hour


@pytest.mark.parametrize(("hour", "register"), [(0, 0x12), (1, 0x01), (12, 0x92), (23, 0x91)])
def test_twelve_hours_both_ways(guest: Machine, hour: int, register: int) -> None:
    write(guest, 4, (hour // 10 << 4) | hour % 10)
    write(guest, 11, 0)
    assert read(guest, 4) == register
    write(guest, 4, register)
    write(guest, 11, 6)
    assert read(guest, 4) == hour


def test_the_clock_can_be_set_and_goes_on(guest: Machine, clock: Clock) -> None:
    write(guest, 11, 0x82)
    for index, value in zip(CLOCK, (0x59, 0x59, 0x23, 1, 0x31, 0x12, 0x99, 0x19), strict=True):
        write(guest, index, value)
    clock.now += 5 * 10**9
    assert read(guest, 0) == 0x59, "stopped while being set"
    write(guest, 11, 0x02)
    clock.now += 10**9
    assert [read(guest, index) for index in (0, 2, 4, 7, 8, 9, 0x32)] == [0, 0, 0, 1, 1, 0, 0x20]


def test_a_date_that_does_not_exist_changes_nothing(guest: Machine) -> None:
    write(guest, 8, 0x13)
    write(guest, 7, 0x31)
    assert [read(guest, 7), read(guest, 8)] == [0x29, 0x02]


def test_an_update_is_flagged_at_the_end_of_each_second(guest: Machine, clock: Clock) -> None:
    assert read(guest, 10) == 0x26
    clock.now += 10**9 - 10**6
    assert read(guest, 10) == 0xA6


def test_the_battery_is_good_and_no_interrupt_is_flagged(guest: Machine) -> None:
    assert (read(guest, 13), read(guest, 12)) == (0x80, 0)


@pytest.mark.parametrize(
    ("memory", "kib_above_1m", "above_16m"), [(2 * MIB, 1024, 0), (32 * MIB, 31 * 1024, 256), (GIB, 0xFFFF, 0x3F00)]
)
def test_memory_sizes(memory: int, kib_above_1m: int, above_16m: int) -> None:
    guest = Machine(Cmos(memory))
    assert [read(guest, at) | read(guest, at + 1) << 8 for at in (0x15, 0x17, 0x30, 0x34)] == [
        640, kib_above_1m, kib_above_1m, above_16m
    ]  # fmt: skip
    assert sum(read(guest, at) for at in range(0x10, 0x2E)) == read(guest, 0x2E) << 8 | read(guest, 0x2F)


def test_other_bytes_are_memory(guest: Machine) -> None:
    write(guest, 0x0F, 0x0A)
    assert read(guest, 0x8F) == 0x0A, "bit 7 of the index masks NMI only"
