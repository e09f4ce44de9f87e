"""Random accesses to the monitor's chips, with time, interrupts and far ends that send."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.hypervisor.chips import chips
from tests.hypervisor.chips.chips import Step

CHIPS: dict[str, tuple[range, ...]] = {
    "8259A": (range(0x20, 0x22), range(0xA0, 0xA2), range(0x4D0, 0x4D2)),
    "8254": (range(0x40, 0x44), range(0x61, 0x62)),
    "16550A": (range(0x3F8, 0x400), range(0x2F8, 0x300), range(0x3E8, 0x3F0), range(0x2E8, 0x2F0)),
    "MC146818A": (range(0x70, 0x72),),
    "ACPI": (range(0x600, 0x604), range(0x608, 0x60C)),
    "local APIC": (range(chips.LAPIC, chips.LAPIC + 0x1000),),
    "I/O APIC": (range(chips.IOAPIC, chips.IOAPIC + 0x1000),),
}
_BATCH = 250_000
_NS = (0, 1, 1000, 100_000, 3_000_000, 1_000_000_000)


def _accesses(random: Random, places: tuple[range, ...]) -> Iterator[Step]:
    memory = places[0].start >= chips.IOAPIC
    pick, choose, bits = random.randrange, random.choice, random.getrandbits
    while True:
        kind, place = pick(16), choose(choose(places))
        if kind < 6:
            if memory:
                value = bits(32) & choose((0xFFFF_FFFF, 0xFF, 0x300FF))
                yield chips.store(place & ~3 if kind else place, value)
            else:
                yield chips.out(place, bits(8))
        elif kind < 12:
            yield chips.load(place) if memory else chips.in_(place)
        elif kind == 12:
            yield chips.advance(pick(1 + choose(_NS[:4])))
        elif kind == 13:
            yield choose((chips.jump(pick(1 + choose(_NS))), chips.send(pick(4), bits(8)), chips.send_break(pick(4)),
                          chips.policy(bits(1))))
        elif kind == 14:
            yield choose((chips.line(pick(16), bool(bits(1))), chips.pulse(pick(16))))
        else:
            yield choose((chips.acknowledge(), chips.inta(), chips.pending()))


def run(name: str, count: int, seed: int, program: chips.Chips) -> None:
    """`count` steps at chip `name`, in runs of fresh chips; an AssertionError where they die or overwrite."""
    random = Random(f"{name} {seed}")
    for first in range(0, count, _BATCH):
        steps = _accesses(random, CHIPS[name])
        program.run(next(steps) for _ in range(min(_BATCH, count - first)))
