"""How interrupts are wired, and in which mode they are: what MP and ACPI tables tell alike.

As on QEMU's "pc": ISA's one to one to the pins of the I/O APIC, but the timer (IRQ 0) to pin 2, which the cascade
of the 8259s leaves free; PCI's by the ISA bridge to ISA lines. The monitor's irq.c and pic.c do what is told here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypervisor.devices.i440fx import PCI_IRQS

LAPIC_ID, IOAPIC_ID = 0, 1
CASCADE_IRQ, TIMER_IRQ, TIMER_PIN = 2, 0, 2
SCI_IRQ = 9  # ACPI's own interrupt

CONFORMS = 0x0  # to the bus: ISA is edge-triggered, active high (MP 1.4, 4.3.4; ACPI 6.5, table 5.26)
LEVEL_HIGH = 0xD  # level-triggered, active high
_LEVEL = (SCI_IRQ, *PCI_IRQS)
_SLOTS, _PINS = range(1, 32), range(4)


@dataclass(frozen=True)
class Route:
    """ISA interrupt `irq` arrives at I/O APIC input `pin`; `flags` are those of MP and ACPI tables."""

    irq: int
    pin: int
    flags: int


ROUTES = tuple(
    Route(irq, TIMER_PIN if irq == TIMER_IRQ else irq, LEVEL_HIGH if irq in _LEVEL else CONFORMS)
    for irq in range(16)
    if irq != CASCADE_IRQ
)


@dataclass(frozen=True)
class PciRoute:
    """Interrupt pin `pin` (0 is INTA#) of the card in `slot` arrives as ISA interrupt `irq`, a level."""

    slot: int
    pin: int
    irq: int


def pci_routes() -> Iterator[PciRoute]:
    """All slots' pins, as firmware routes them: wired to the ISA bridge's inputs in turn."""
    for slot in _SLOTS:
        for pin in _PINS:
            yield PciRoute(slot, pin, PCI_IRQS[(slot - 1 + pin) % len(PCI_IRQS)])
