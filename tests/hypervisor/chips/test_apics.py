"""The APICs where the recorded scripts do not go: errors, the disabled APIC, destinations, LINT0, the timer."""

from __future__ import annotations

import pytest

from tests.hypervisor.chips.chips import (
    IOAPIC,
    LAPIC,
    NONE,
    Chips,
    Step,
    acknowledge,
    advance,
    jump,
    line,
    load,
    out,
    policy,
    pulse,
    store,
)

ID, TPR, PPR, EOI, LDR, DFR, SVR, ESR, ICR_LOW, ICR_HIGH = 0x20, 0x80, 0xA0, 0xB0, 0xD0, 0xE0, 0xF0, 0x280, 0x300, 0x310
TIMER, LINT0, ERROR, INITIAL, CURRENT, DIVIDE = 0x320, 0x350, 0x370, 0x380, 0x390, 0x3E0
MASKED, PERIODIC, BY_ONE = 0x10000, 0x20000, 0xB
SLEW = 1


def write(register: int, value: int) -> Step:
    return store(LAPIC + register, value)


def read(register: int) -> Step:
    return load(LAPIC + register)


def route(pin: int, low: int, high: int = 0) -> list[Step]:
    return [store(IOAPIC, 0x11 + 2 * pin), store(IOAPIC + 0x10, high), store(IOAPIC, 0x10 + 2 * pin),
            store(IOAPIC + 0x10, low)]


def entry(pin: int) -> list[Step]:
    return [store(IOAPIC, 0x10 + 2 * pin), load(IOAPIC + 0x10)]


@pytest.mark.parametrize(("steps", "errors"), [
    ([write(ICR_LOW, 0x4000F)], 0x20), ([read(0x40)], 0x80), ([write(0x3F0, 1)], 0x80), ([write(ICR_LOW, 0x40030)], 0),
    ([write(TIMER, 5), write(DIVIDE, BY_ONE), write(INITIAL, 10), advance(10)], 0x40)])
def test_errors_show_once_esr_is_written(chips: Chips, steps: list[Step], errors: int) -> None:
    script = [write(ERROR, 0x55), *steps, read(ESR), write(ESR, 0), read(ESR), write(ESR, 0), read(ESR), acknowledge()]
    vector = 0x55 if errors else 0x30
    assert chips.run(script)[-4:] == [0, errors, 0, vector]


def test_a_disabled_apic_masks_its_vectors_and_lets_the_8259_through(chips: Chips) -> None:
    answers = chips.run([write(TIMER, 0x30), write(SVR, 0xFF), read(TIMER), write(TIMER, 0x30), read(TIMER),
                         read(LINT0), write(ICR_LOW, 0x40040), acknowledge(), out(0x21, 0xFE), line(0, True),
                         acknowledge(), write(SVR, 0x1FF), read(TIMER), write(TIMER, 0x30), read(TIMER)])
    assert answers == [0x30 | MASKED, 0x30 | MASKED, 0x700 | MASKED, NONE, 8, 0x30 | MASKED, 0x30]


def test_lint0_as_a_fixed_interrupt(chips: Chips) -> None:
    answers = chips.run([write(LINT0, 0x44), out(0x21, 0xF7), line(3, True), acknowledge(), acknowledge(),
                         write(EOI, 0), acknowledge(), write(LINT0, MASKED), line(3, False), line(3, True),
                         acknowledge()])
    assert answers == [0x44, NONE, NONE, NONE]


@pytest.mark.parametrize(("dfr", "ldr", "destination", "arrives"), [
    (0xFFFFFFFF, 0x02, 0x02, True), (0xFFFFFFFF, 0x02, 0x03, True), (0xFFFFFFFF, 0x02, 0x01, False),
    (0xFFFFFFFF, 0x02, 0xFF, True), (0x0FFFFFFF, 0x21, 0x21, True), (0x0FFFFFFF, 0x21, 0x23, True),
    (0x0FFFFFFF, 0x21, 0x11, False), (0x0FFFFFFF, 0x21, 0xF1, True), (0x0FFFFFFF, 0x21, 0x22, False)])
def test_logical_destinations(chips: Chips, dfr: int, ldr: int, destination: int, arrives: bool) -> None:
    start = [write(DFR, dfr), write(LDR, ldr << 24)]
    by_ipi = [*start, write(ICR_HIGH, destination << 24), write(ICR_LOW, 0x840), acknowledge()]
    by_pin = [*start, *route(5, 0x840, destination << 24), pulse(5), acknowledge()]
    assert chips.run(by_ipi) == chips.run(by_pin) == [0x40 if arrives else NONE]


@pytest.mark.parametrize(("destination", "arrives"), [(0, True), (0xFF, True), (1, False)])
def test_physical_destinations(chips: Chips, destination: int, arrives: bool) -> None:
    by_pin = [*route(5, 0x40, destination << 24), pulse(5), acknowledge()]
    assert chips.run(by_pin) == [0x40 if arrives else NONE]


def test_a_level_that_lasts_comes_again_after_eoi(chips: Chips) -> None:
    answers = chips.run([*route(5, 0x8040), line(5, True), *entry(5), acknowledge(), acknowledge(), write(EOI, 0),
                         *entry(5), acknowledge(), line(5, False), write(EOI, 0), *entry(5), acknowledge()])
    assert answers == [0xC040, 0x40, NONE, 0xC040, 0x40, 0x8040, NONE]


def test_an_edge_at_a_masked_pin_is_lost(chips: Chips) -> None:
    answers = chips.run([*route(5, 0x40 | MASKED), line(5, True), *route(5, 0x40), acknowledge(), line(5, False),
                         line(5, True), acknowledge()])
    assert answers == [NONE, 0x40]


def test_the_timer_of_the_8254_arrives_at_pin_2(chips: Chips) -> None:
    answers = chips.run([*route(2, 0x40), out(0x43, 0x34), out(0x40, 0xA9), out(0x40, 4), advance(1_000_000),
                         acknowledge(), write(EOI, 0), advance(1_000_000), acknowledge()])
    assert answers == [0x40, 0x40]


@pytest.mark.parametrize(("code", "divider"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (0xA, 128), (0xB, 1)])
def test_the_timer_counts_at_its_divider(chips: Chips, code: int, divider: int) -> None:
    answers = chips.run([write(DIVIDE, code), write(TIMER, 0x30), write(INITIAL, 1000), read(CURRENT),
                         advance(divider * 400), read(CURRENT), advance(divider * 600 - 1), acknowledge(), advance(1),
                         acknowledge(), read(CURRENT), advance(divider * 1000), write(EOI, 0), acknowledge()])
    assert answers == [1000, 600, NONE, 0x30, 0, NONE]


def test_a_periodic_timer_keeps_true_to_time(chips: Chips) -> None:
    start = [write(DIVIDE, BY_ONE), write(TIMER, PERIODIC | 0x30), write(INITIAL, 1_000_003)]
    tick = [advance(1_000_002), acknowledge(), advance(1), acknowledge(), write(EOI, 0), read(CURRENT)]
    assert chips.run([*start, *tick * 500]) == [NONE, 0x30, 1_000_003] * 500
    late = [jump(10 * 1_000_003 + 5), acknowledge(), write(EOI, 0), acknowledge(), read(CURRENT)]
    assert chips.run([*start, *late]) == [0x30, NONE, 1_000_003 - 5], "one comes, and the phase is kept"
    caught_up = [step for _ in range(1000) for step in (advance(10_000), acknowledge(), write(EOI, 0))]
    assert chips.run([policy(SLEW), *start, *late[:2], *caught_up]).count(0x30) == 20 - 1


def test_the_divider_changes_while_it_counts(chips: Chips) -> None:
    answers = chips.run([write(DIVIDE, BY_ONE), write(TIMER, 0x30), write(INITIAL, 1000), advance(400),
                         write(DIVIDE, 0), read(CURRENT), advance(1199), acknowledge(), advance(1), acknowledge()])
    assert answers == [600, NONE, 0x30]


def test_a_masked_timer_counts_and_is_silent(chips: Chips) -> None:
    answers = chips.run([write(DIVIDE, BY_ONE), write(TIMER, PERIODIC | MASKED | 0x30), write(INITIAL, 1000),
                         advance(3300), read(CURRENT), acknowledge(), write(TIMER, PERIODIC | 0x30), acknowledge(),
                         advance(700), acknowledge()])
    assert answers == [700, NONE, NONE, 0x30]


@pytest.mark.parametrize(("priority", "shown"), [(0x35, 0x40), (0x45, 0x45), (0x40, 0x40), (0x50, 0x50)])
def test_the_processor_s_priority(chips: Chips, priority: int, shown: int) -> None:
    """The higher of the task's and the interrupt's in service; the task's where both are of one class."""
    answers = chips.run([write(ICR_LOW, 0x40047), acknowledge(), write(TPR, priority), read(PPR)])
    assert answers == [0x47, shown]


def test_there_is_no_deadline_mode(chips: Chips) -> None:
    assert chips.run([write(TIMER, 0xFFFF_FFFF), read(TIMER)]) == [0x300FF]
