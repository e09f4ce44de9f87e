"""PCI functions as cards: base addresses that move, interrupts that are routed, slots that are empty."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from hypervisor.bus import ByteDevice
from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.disk import DiskImage
from hypervisor.devices.e1000 import E1000
from hypervisor.devices.i440fx import pci_bus
from hypervisor.devices.ide import ide_channels
from hypervisor.devices.pci import BARS, Bar, PciFunction
from hypervisor.devices.pci_firmware import assign
from hypervisor.devices.piix_ide import PiixIde
from hypervisor.devices.power import ResetControl
from hypervisor.errors import RingError
from tests.hypervisor.devices.machine import Machine

ADDRESS, DATA = 0xCF8, 0xCFC
COMMAND, BAR0, BAR1, LINE = 0x04, 0x10, 0x14, 0x3C
ISA = 1
SLOT = 3
PORTS, MEMORY = 0xD000, 0xF000_0000


class Card(PciFunction):
    """16 ports and 4 KiB of memory that tell where they are."""

    name = "card"

    def __init__(self, pin: int = 1) -> None:
        super().__init__(0x1234, 0x5678, 0x02_00_00, bars=(Bar(0, 16, io=True), Bar(1, 4096, io=False)), pin=pin)
        self.written: list[tuple[int, int, int, int]] = []

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        return bar << 16 | offset

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        self.written.append((bar, offset, size, value))


class Guest:
    """A machine with cards, and a guest's accesses to configuration space."""

    def __init__(self, *cards: PciFunction) -> None:
        pci = pci_bus()
        for place, card in enumerate(cards):
            pci.plug(card, SLOT + place)
        self.machine = Machine(ResetControl(), pci)
        self.bus, self.irqs = self.machine.bus, self.machine.irqs

    def config(self, register: int, value: int | None = None, size: int = 4, slot: int = SLOT) -> int:
        self.machine.out(ADDRESS, 1 << 31 | slot << 11 | register & 0xFC, 4)
        if value is not None:
            self.machine.out(DATA + register % 4, value, size)
        return self.machine.in_(DATA + register % 4, size)

    def mmio(self, address: int, value: int | None = None) -> int:
        return self.machine.ports._exit(reason=6 if value is None else 7, address=address, size=4, value=value or 0)


def test_ports_answer_where_and_while_they_are_mapped() -> None:
    card = Card()
    guest = Guest(card)
    assert guest.config(BAR0, 0xFFFF_FFFF) == 0xFFFF_FFF1 and guest.config(BAR1, 0xFFFF_FFFF) == 0xFFFF_F000
    guest.config(BAR0, PORTS)
    assert guest.machine.in_(PORTS + 3) == 0xFF, "I/O space is disabled"
    guest.config(COMMAND, 1, 2)
    assert guest.machine.in_(PORTS + 3) == 3
    guest.machine.out(PORTS + 4, 0xABCD, 2)
    assert card.written == [(0, 4, 2, 0xABCD)]
    guest.config(BAR0, PORTS + 0x100)
    assert guest.machine.in_(PORTS + 3) == 0xFF and guest.machine.in_(PORTS + 0x103) == 3
    guest.config(COMMAND, 0, 2)
    assert guest.machine.in_(PORTS + 0x103) == 0xFF


def test_memory_answers_where_and_while_it_is_mapped() -> None:
    card = Card()
    guest = Guest(card)
    guest.config(BAR1, MEMORY)
    guest.config(COMMAND, 2, 2)
    assert guest.mmio(MEMORY + 0x20) == 1 << 16 | 0x20
    guest.mmio(MEMORY + 8, 0x1234_5678)
    assert card.written == [(1, 8, 4, 0x1234_5678)]
    guest.config(BAR1, MEMORY + 0x1000)
    assert guest.mmio(MEMORY + 0x20) == 0xFFFF_FFFF and guest.mmio(MEMORY + 0x1020) == 1 << 16 | 0x20
    guest.config(COMMAND, 1, 2)
    assert guest.mmio(MEMORY + 0x1020) == 0xFFFF_FFFF


@pytest.mark.parametrize("base", [0, 0xFFFF_FFF0, 0x1_0000])
def test_a_base_beyond_the_ports_maps_nothing(base: int) -> None:
    guest = Guest(Card())
    guest.config(COMMAND, 1, 2)
    assert guest.config(BAR0, base) == base | 1
    assert all(guest.machine.in_(port) == 0xFF for port in (0, 0xFFF3))


def test_a_card_put_upon_a_device_leaves_it_its_ports() -> None:
    class Taken(ByteDevice):
        ports = (range(PORTS + 4, PORTS + 6),)

        def read(self, port: int) -> int:
            return 0x77

    guest = Guest(Card())
    guest.bus.add(Taken())
    guest.config(BAR0, PORTS)
    guest.config(COMMAND, 1, 2)
    assert [guest.machine.in_(PORTS + at) for at in range(3, 7)] == [3, 0x77, 0x77, 6]
    guest.config(COMMAND, 0, 2)
    assert [guest.machine.in_(PORTS + at) for at in range(3, 7)] == [0xFF, 0x77, 0x77, 0xFF]


def test_two_cards_share_a_line_that_routing_can_move() -> None:
    first, second = Card(), Card(pin=4)  # INTA# of slot 3 and INTD# of slot 4 are PIRQC#
    guest = Guest(first, second)
    lines: list[tuple[int, bool]] = []
    guest.bus.set_irq = lambda line, high: lines.append((line, high))
    first.interrupt(True)
    second.interrupt(True)
    assert lines == [(11, True)], "PIRQC# goes to line 11"
    first.interrupt(False)
    assert lines == [(11, True)] and guest.config(COMMAND, slot=SLOT + 1) >> 16 & 8
    guest.config(0x62, 5, 1, slot=ISA)
    assert lines[1:] == [(5, True), (11, False)]
    guest.config(0x62, 0x85, 1, slot=ISA)
    assert lines[3:] == [(5, False)], "routing disabled"
    guest.config(0x62, 13, 1, slot=ISA)
    assert lines[4:] == [], "13 is reserved"
    guest.config(0x62, 11, 1, slot=ISA)
    guest.config(COMMAND, 0x400, 2, slot=SLOT + 1)
    second.interrupt(False)
    assert lines[4:] == [(11, True), (11, False)], "interrupts of the second card are disabled"


def test_the_interrupt_line_register_is_the_guests() -> None:
    guest = Guest(Card())
    assert guest.config(LINE, 0x0B, 1) == 0x0B
    assert guest.config(LINE + 1, 0, 1) == 1, "the pin is the card's"


def test_what_is_not_there_reads_ones() -> None:
    guest = Guest(Card())
    assert guest.config(0, 0, slot=9) == 0xFFFF_FFFF and guest.bus.absent == {("pci", 9 << 3): 2}
    guest.machine.out(ADDRESS, 0, 4)
    assert guest.machine.in_(DATA, 4) == 0xFFFF_FFFF
    assert guest.machine.in_(ADDRESS, 2) == 0xFFFF, "doublewords only"
    guest.machine.out(ADDRESS, 0x80, 1)
    assert guest.machine.in_(ADDRESS, 4) == 0


def test_an_access_that_leaves_the_doubleword_is_two() -> None:
    guest = Guest(Card())
    guest.machine.out(ADDRESS, 1 << 31 | SLOT << 11, 4)
    assert guest.machine.in_(DATA + 3, 4) == 0xFFFF_FF56
    guest.machine.out(DATA + 3, 0xFFFF_FFFF, 4)
    assert guest.config(0) == 0x5678_1234


def test_a_slot_holds_one_function() -> None:
    pci = pci_bus()
    with pytest.raises(RingError, match=r"card: PCI 01\.0 is PIIX3 ISA bridge; give each its own slot"):
        pci.plug(Card(), 1)


def test_a_bus_has_32_slots() -> None:
    with pytest.raises(RingError, match="card: PCI has no slot beyond 31; take out another card"):
        pci_bus().plug(Card(), 32)


def test_firmware_gives_each_base_address_a_place_of_its_own() -> None:
    pci, channels = pci_bus(), ide_channels([])
    functions = [PiixIde(channels), *(E1000(bytes(6)) for _ in range(29))]
    pci.plug(functions[0], 1, 1)
    for number, card in enumerate(functions[1:]):
        pci.plug(card, 3 + number)
    Machine(*channels, pci)
    assign(pci)
    taken: dict[bool, list[range]] = {True: [], False: []}
    for function in functions:
        for bar in function.bars:
            base = function.get(BARS + 4 * bar.index, 4) & ~15
            assert base and base % bar.size == 0
            taken[bar.io].append(range(base, base + bar.size))
    for places in taken.values():
        places.sort(key=lambda place: place.start)
        assert all(one.stop <= other.start for one, other in pairwise(places))


def test_the_bus_masters_move(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(512))
    channels, pci = ide_channels([AtaDrive(DiskImage(image), "S")]), pci_bus()
    pci.plug(PiixIde(channels), 1, 1)
    machine = Machine(*channels, pci)
    machine.out(0xC00C, 0x1234_5678, 4)
    machine.out(ADDRESS, 0x8000_0920, 4)
    machine.out(DATA, 0xE000, 4)
    assert machine.in_(0xE00C, 4) == 0x1234_5678 and machine.in_(0xC00C, 4) == 0xFFFF_FFFF
