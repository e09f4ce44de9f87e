"""Random scripts for each device, of what a PC's emulator does as the data sheets say.

Where QEMU is known to differ from them, scripts keep away or mask the answer, and the reason stands there; the tests
that ask the data sheets' models cover those places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.hypervisor.chips.player import Action, in_, load, out, steadily, store, wait, window

LAPIC, IOAPIC = 0xFEE0_0000, 0xFEC0_0000
COM1, COM2 = 0x3F8, 0x2F8
RATE_8192 = 0x23
MICROSECOND, MILLISECOND, SECOND = 1_000, 1_000_000, 1_000_000_000
Script = list[Action]


def _initialise_pics(icw4: int = 1) -> Script:
    return [out(0x20, 0x11), out(0x21, 0x20), out(0x21, 4), out(0x21, icw4), out(0x21, 0xFF), out(0xA0, 0x11),
            out(0xA1, 0x28), out(0xA1, 2), out(0xA1, icw4), out(0xA1, 0xFF), out(0x4D0, 0), out(0x4D1, 0)]


def _cmos(index: int, value: int) -> Script:
    return [out(0x70, index), out(0x71, value)]


def _quiet() -> Script:
    """A machine in which nothing interrupts that was not asked to."""
    return [
        *_initialise_pics(),
        out(0x43, 0x30), out(0x40, 1), out(0x40, 0), wait(20 * MICROSECOND),  # the timer has run out, and stands
        *_cmos(0x0B, 2), *_cmos(0x0A, RATE_8192), out(0x70, 0x0C), in_(0x71, mask=0),
        *(action for base in (COM1, COM2) for action in (
            out(base + 3, 0), out(base + 1, 0), out(base + 2, 7), out(base + 2, 0), out(base + 4, 0),
            in_(base + 5, mask=0), in_(base, mask=0))),
        store(LAPIC + 0xF0, 0x1FF), store(LAPIC + 0x320, 0x10000), store(LAPIC + 0x380, 0), store(LAPIC + 0x80, 0),
        store(LAPIC + 0x350, 0x700), *(store(LAPIC + 0xB0, 0) for _ in range(4)),
        *_initialise_pics(),
    ]  # fmt: skip


def _edge(line: int) -> Script:
    """A rising edge of a line, and the line stays high. A line never falls for long: QEMU keeps the request of one
    that fell before it was acknowledged, which an 8259A forgets."""
    if line == 0:
        return [out(0x43, 0x30), out(0x40, 10), out(0x40, 0), wait(20 * MICROSECOND)]
    if line == 8:
        return [*_cmos(0x0B, 0x42), out(0x70, 0x0C), in_(0x71, mask=0), wait(130 * MICROSECOND)]
    base = COM1 if line == 4 else COM2
    return [out(base + 1, 0), out(base + 1, 2)]


def _set_line(line: int, high: bool) -> Action:
    return out((COM1 if line == 4 else COM2) + 1, 2 if high else 0)


def pic(random: Random) -> Script:
    """The 8259As: command words of all kinds, requests on four lines, acknowledge cycles and polls."""
    script = [*_quiet()]
    level = random.random() < 0.4
    if level:
        script.append(out(0x4D0, 0x18))
    special_mask = [False, False]
    # Where the slave's request can be withdrawn, or is taken by a poll of the master alone, QEMU's master keeps it, or
    # does not see it again: either the slave has requests, or these commands are given.
    slave = random.random() < 0.5
    script.append(out(0xA1, 0 if slave else 0xFF))
    for _ in range(200):
        chip = 0 if slave else random.randrange(2)
        command, data = (0xA0, 0xA1) if chip else (0x20, 0x21)
        kind = random.randrange(12)
        if kind <= 2:
            if level and random.random() < 0.8:
                script.append(_set_line(random.choice([3, 4]), random.random() < 0.5))
            else:
                script += _edge(random.choice([0, *([] if level else [3, 4]), *([8] if slave else [])]))
        elif kind == 3:
            script.append(out(data, random.choice([0, 0, random.randrange(256)])))
        elif kind <= 5:
            # In special mask mode a non-specific EOI is left out: QEMU ends a masked level by it.
            commands = [0, 3, 4, 6, 7] if special_mask[chip] else range(8)
            script.append(out(command, random.choice(commands) << 5 | random.randrange(8)))
        elif kind == 6:
            value = 0x08 | random.choice([0, 2, 3, *([] if slave else [4]), 0x40, 0x60, 0x62, 0x43])
            if value & 0x40:
                special_mask[chip] = bool(value & 0x20)
            script.append(out(command, value))
            if value & 4:
                script.append(in_(random.choice([command, data])))
        elif kind == 7 and not slave and random.random() < 0.3:
            # Not with a slave that asks: to QEMU's master, its line then rises once more.
            special_mask[chip] = False
            with_icw4 = random.random() < 0.8
            script += [out(command, 0x10 | with_icw4), out(data, random.choice([0x20, 0x40, 0x71])),
                       out(data, 2 if chip else 4)]
            if with_icw4:
                script.append(out(data, random.choice([1, 1, 3])))
        elif kind <= 9:
            script += [window(), *([out(0xA0, 0x20)] if slave and random.random() < 0.5 else [])]
        else:
            script.append(in_(random.choice([0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1])))
    return script


def pit(random: Random) -> Script:
    """The 8254: counts, latches and outputs of all channels; interrupts of the first."""
    script = [*_quiet(), out(0x21, 0xFE)]
    # Even counts: QEMU counts odd ones in mode 3 in another order than an 8254 does.
    count = lambda: random.choice([2000, 5966, 11932, 29830, 59660]) & ~1  # noqa: E731
    for _ in range(14):
        channel, mode = random.randrange(3), random.choice([0, 2, 3, 4])
        access = random.choice([1, 2, 3, 3, 3])
        value = count()
        value = value & 0xFF if access == 1 else value & 0xFF00 if access == 2 else value
        value = value or 0x400
        if access == 1:
            value = value & 0xFF or 0x80
        if channel == 2:
            script.append(out(0x61, 1))
        script.append(out(0x43, channel << 6 | access << 4 | mode << 1))
        if access & 1:
            script.append(out(0x40 + channel, value & 0xFF))
        if access & 2:
            script.append(out(0x40 + channel, value >> 8))
        if channel == 0:
            # Whether the mode alone was an edge: to QEMU, which has the output of some modes upside down, in others.
            script += [replace(window(), mask=0), out(0x20, 0x20)]
        for _ in range(6):
            script.append(wait(random.randrange(1, 12) * random.choice([100, 1000]) * MICROSECOND // 10))
            if access == 3:
                # QEMU counts from the moment of the load, not in ticks of one clock: it may be a tick behind.
                latch = random.choice([channel << 6, 0xC0 | 2 << channel | 0x10])
                script += [out(0x43, latch), in_(0x40 + channel, slack=2), in_(0x40 + channel, slack=1)]
            if mode in (0, 3):  # of the other modes QEMU shows the output upside down; and never the null count
                script += steadily(out(0x43, 0xE0 | 2 << channel), in_(0x40 + channel, mask=0xBF))
            if channel == 2 and mode in (0, 3):
                script += steadily(in_(0x61, mask=0x23))
            if channel == 0:
                script += [window(), out(0x20, 0x20)]
    return script


def lapic(random: Random) -> Script:
    """The local APIC: interrupts to itself, priorities, EOI, the timer."""
    script = [*_quiet(), store(LAPIC + 0xE0, 0xFFFF_FFFF), store(LAPIC + 0xD0, 0x0100_0000)]
    registers = [0x30, 0x80, 0xA0, 0xF0, 0x320, 0x350, 0x380, 0x3E0,
                 *(first + word * 0x10 for first in (0x100, 0x180, 0x200) for word in range(8))]
    for _ in range(160):
        kind = random.randrange(12)
        if kind <= 2:
            vector = random.randrange(0x20, 0xFF)
            script += random.choice([
                [store(LAPIC + 0x300, 0x40000 | vector)],
                [store(LAPIC + 0x300, 0x80000 | vector)],
                [store(LAPIC + 0x300, 0xC0000 | vector)],
                [store(LAPIC + 0x310, random.choice([0, 0xFF, 5]) << 24), store(LAPIC + 0x300, vector)],
                [store(LAPIC + 0x310, random.choice([1, 2, 3]) << 24), store(LAPIC + 0x300, 0x800 | vector)],
            ])
        elif kind <= 4:
            script.append(window())
        elif kind == 5:
            script.append(store(LAPIC + 0xB0, 0))
        elif kind == 6:
            script.append(store(LAPIC + 0x80, random.choice([0, 0, random.randrange(256)])))
        elif kind == 7:
            vector = random.randrange(0x20, 0xFF)
            script += [store(LAPIC + 0x3E0, random.choice([0xB, 0, 1, 2, 3, 8, 9, 0xA])),
                       store(LAPIC + 0x320, random.choice([0, 0, 0x20000, 0x20000, 0x10000]) | vector),
                       store(LAPIC + 0x380, random.choice([0, 20_000, 50_000, 100_000]))]
        elif kind == 8:
            script.append(wait(random.choice([3, 60, 400, 1100, 3300]) * MICROSECOND))
        elif kind == 9:
            # QEMU's periodic counter takes one count more than it is set to.
            script.append(load(LAPIC + 0x390, slack=2000))
        else:
            script.append(load(LAPIC + random.choice(registers)))
    return script


def ioapic(random: Random) -> Script:
    """The I/O APIC: its registers, and two pins that go up and down, edge- and level-triggered."""
    script = [*_quiet()]
    edge = random.random() < 0.5
    vectors = {3: 0x53, 4: 0x74}

    def entry(pin: int, low: int, high: int = 0) -> Script:
        return [store(IOAPIC, 0x11 + 2 * pin), store(IOAPIC + 0x10, high << 24),
                store(IOAPIC, 0x10 + 2 * pin), store(IOAPIC + 0x10, low)]

    for pin in range(24):
        script += entry(pin, 0x10000)
    for pin, vector in vectors.items():
        script += entry(pin, (0 if edge else 0x8000) | vector)
    for _ in range(160):
        kind, pin = random.randrange(10), random.choice([3, 4])
        if kind <= 2:
            script.append(_set_line(pin, random.random() < 0.5))
        elif kind <= 4:
            script.append(window())
        elif kind == 5:
            script.append(store(LAPIC + 0xB0, 0))
        elif kind == 6 and not edge:
            # An edge at a masked pin is lost, but QEMU keeps it.
            script += entry(pin, random.choice([0x8000, 0x18000, 0xA000, 0x8100]) | vectors[pin])
        elif kind == 7:
            other = random.choice([5, 9, 20, 23])
            script += entry(other, 0x10000 | random.randrange(0x1_0000) & 0xAFFF, random.randrange(256))
            script += [load(IOAPIC + 0x10), store(IOAPIC, 0x11 + 2 * other), load(IOAPIC + 0x10)]
        else:
            script += [store(IOAPIC, random.choice([1, 0x10 + 2 * pin, 0x11 + 2 * pin])), load(IOAPIC + 0x10)]
    return script


def uart(random: Random) -> Script:
    """The 16550A, looped: FIFO, interrupts, errors, modem lines."""
    # Level-triggered, so that the requests of a line that fell are not what is compared (see `_edge`).
    script = [*_quiet(), out(0x4D0, 0x18), out(0x21, 0xE7)]
    base = random.choice([COM1, COM2, 0x3E8, 0x2E8])
    script += [out(base + 3, 0x80), out(base, random.choice([1, 2])), out(base + 1, 0), out(base + 3, 3),
               out(base + 4, 0x1B)]
    for _ in range(220):
        kind = random.randrange(14)
        if kind <= 2:
            script += [out(base, random.randrange(256)) for _ in range(random.choice([1, 1, 2, 5, 13, 17]))]
        elif kind == 3:
            script.append(out(base + 1, random.randrange(8)))  # modem interrupts: QEMU notes no change of looped lines
        elif kind == 4:
            script.append(out(base + 2, random.choice([0, 1, 1, 3, 5, 0x07, 0x41, 0x81, 0xC1, 0xC7])))
        elif kind == 5:
            script.append(out(base + 4, 0x10 | random.randrange(16)))
        elif kind == 6:
            script.append(out(base + 7, random.randrange(256)))
        elif kind == 7:
            script.append(out(base + 3, random.randrange(0x40)))
        elif kind == 8:
            script.append(wait(3 * MILLISECOND))
        elif kind == 9:
            script += [window(), out(0x20, 0x20)]
        else:
            # Whether it is the trigger or the time-out is not compared: QEMU's time-out hides the trigger.
            script.append(in_(base + random.choice([0, 0, 2, 3, 4, 5, 5, 7]), mask=0xF7) if random.random() < 0.9
                          else in_(base + 6, mask=0xF0))
    return script


def rtc(random: Random) -> Script:
    """The MC146818: formats, setting, alarms, flags."""
    script = [*_quiet(), out(0x21, 0xFB), out(0xA1, 0xFE)]
    clock = (0, 2, 4, 7, 8, 9, 0x32)

    def bcd(value: int) -> int:
        return value // 10 << 4 | value % 10

    periodic = False
    for _ in range(16):
        kind = random.randrange(8)
        if kind == 0:
            # In this century: before 1970 QEMU rounds seconds up.
            fields = (random.randrange(60), random.choice([58, 59]), random.choice([0, 11, 12, 23]),
                      random.choice([1, 28]), random.choice([1, 2, 12]), random.randrange(100), 20)
            script += _cmos(0x0B, 0x82)
            for index, value in zip(clock, fields, strict=True):
                script += _cmos(index, bcd(value))
            script += _cmos(0x0B, 0x02)
            periodic = False
        elif kind <= 2:
            enabled = random.choice([0, 0x10, 0x20, 0x30, 0x40, 0x70])
            periodic = bool(enabled & 0x40)
            script += _cmos(0x0B, enabled | random.choice([0, 2, 4, 6]))
        elif kind == 3:
            for index in (1, 3, 5):
                script += _cmos(index, random.choice([0xFF, 0xC0, 0, 0x12, 0x99]))
        elif kind == 4:
            script += _cmos(0x0A, 0x20 | random.choice([3, 6, 10, 15]))
        else:
            script.append(wait(random.choice([MILLISECOND, 700 * MILLISECOND, SECOND])))
        for index in clock:
            script += [out(0x70, index), in_(0x71)]
        script += [window(), out(0xA0, 0x20), out(0x20, 0x20)]
        # QEMU's periodic flag is set only where its interrupt is enabled.
        script += [out(0x70, 0x0C), in_(0x71, mask=0xFF if periodic else 0xBF), out(0x70, 0x0B), in_(0x71)]
    return script


DEVICES: dict[str, Callable[[Random], Script]] = {
    "8259A": pic, "8254": pit, "local APIC": lapic, "I/O APIC": ioapic, "16550A": uart, "MC146818A": rtc,
}  # fmt: skip
