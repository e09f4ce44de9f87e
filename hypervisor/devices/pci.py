"""PCI: configuration space, base addresses and interrupts of the functions on bus 0.

Source: PCI Local Bus Specification 2.2, chapter 6 (configuration space; base addresses in 6.2.5), and for configuration
mechanism #1 its 3.2.2.3.2 and the Intel 440FX data sheet, 3.1. What a function shows beyond the header is storage, as
QEMU has it, unless the function says otherwise. Absent functions read all ones.

A new card is a `PciFunction` with its bars, put into a slot by `PciBus.plug`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypervisor.bus import ONES, Bus, Device
from hypervisor.errors import RingError

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
CONFIG_SIZE = 256

# Registers of the header
VENDOR, COMMAND, STATUS, REVISION, CLASS = 0x00, 0x04, 0x06, 0x08, 0x09
CACHE_LINE, HEADER_TYPE, BARS, INTERRUPT_LINE, INTERRUPT_PIN = 0x0C, 0x0E, 0x10, 0x3C, 0x3D
HEADER_SIZE = 0x40

SLOTS = 32  # of a bus
IO_SPACE, MEMORY_SPACE, BUS_MASTER, INTX_DISABLE = 1, 2, 4, 0x400  # command
_COMMAND_WRITABLE = IO_SPACE | MEMORY_SPACE | BUS_MASTER | 0x100 | INTX_DISABLE
_STATUS_CLEARED = 0xF900  # errors, cleared by writing ones
_INTERRUPT_STATUS = 0x08
_MULTIFUNCTION = 0x80

_ENABLE = 1 << 31
PIRQS = 4


@dataclass(frozen=True)
class Bar:
    """Base address register `index`: `size` (a power of two, at least 4) bytes of ports or of memory."""

    index: int
    size: int
    io: bool


class _Window(Device):
    """What a function's base address register makes of the bus while it is mapped."""

    def __init__(self, function: PciFunction, bar: Bar, base: int) -> None:
        self.name, self.function, self.bar, self.base = function.name, function, bar, base

    def port_in(self, port: int, size: int) -> int:
        return self.function.bar_read(self.bar.index, port - self.base, size)

    def port_out(self, port: int, size: int, value: int) -> None:
        self.function.bar_write(self.bar.index, port - self.base, size, value)

    def mmio_read(self, address: int, size: int) -> int:
        return self.function.bar_read(self.bar.index, address - self.base, size)

    def mmio_write(self, address: int, size: int, value: int) -> None:
        self.function.bar_write(self.bar.index, address - self.base, size, value)


class PciFunction:
    """One function: its configuration space and what its base addresses lead to. Subclasses override the latter."""

    name = "PCI function"

    def __init__(self, vendor: int, device: int, class_code: int, revision: int = 0, bars: Sequence[Bar] = (),
                 pin: int = 0) -> None:
        """`class_code`: class, subclass and interface in 24 bits; `pin`: 1 to 4 for INTA# to INTD#, 0 for none."""
        self.config = bytearray(CONFIG_SIZE)
        self._writable = bytearray(HEADER_SIZE) + bytearray([0xFF] * (CONFIG_SIZE - HEADER_SIZE))
        self._cleared = bytearray(CONFIG_SIZE)
        self.bars = tuple(bars)
        self._windows: dict[int, tuple[_Window, range]] = {}  # by bar
        self._interrupt = False
        self.pci: PciBus | None = None
        self.set(VENDOR, 2, vendor)
        self.set(VENDOR + 2, 2, device)
        self.set(REVISION, 1, revision)
        self.set(CLASS, 3, class_code)
        self.set(INTERRUPT_PIN, 1, pin)
        self.writable(COMMAND, 2, _COMMAND_WRITABLE)
        self.writable(CACHE_LINE, 1, 0xFF)
        self.writable(INTERRUPT_LINE, 1, 0xFF)
        self._cleared[STATUS : STATUS + 2] = _STATUS_CLEARED.to_bytes(2, "little")
        for bar in self.bars:
            self.set(BARS + 4 * bar.index, 4, int(bar.io))
            self.writable(BARS + 4 * bar.index, 4, -bar.size & 0xFFFF_FFFF)

    # --- for subclasses and firmware --------------------------------------------------------------------

    def set(self, register: int, size: int, value: int) -> None:
        """Let a register hold `value`, whatever of it the guest may write."""
        self.config[register : register + size] = value.to_bytes(size, "little")

    def get(self, register: int, size: int) -> int:
        """What a register holds."""
        return int.from_bytes(self.config[register : register + size], "little")

    def writable(self, register: int, size: int, mask: int) -> None:
        """Say which bits of a register the guest may write."""
        self._writable[register : register + size] = mask.to_bytes(size, "little")

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        """Value of a read within base address `bar`."""
        return ONES[size]

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        """Take a write within base address `bar`."""

    def mapped(self, bar: int, base: int, ports: Sequence[int]) -> None:
        """Base address `bar` of ports was mapped at `base`; `ports` are those that no other device had."""

    def changed(self) -> None:
        """Called when the function is on the bus, and whenever the guest has written to its configuration space."""

    def attached(self, bus: Bus) -> None:
        """Called once, when the function is on the bus."""

    @property
    def is_master(self) -> bool:
        """Whether the guest lets the function reach memory by itself."""
        return bool(self.config[COMMAND] & BUS_MASTER)

    def interrupt(self, level: bool) -> None:
        """Drive the function's interrupt pin."""
        self._interrupt = level
        self._drive()

    # --- configuration space ----------------------------------------------------------------------------

    @property
    def asserts(self) -> bool:
        """Whether the function pulls its pin now."""
        return self._interrupt and not self.get(COMMAND, 2) & INTX_DISABLE

    def _drive(self) -> None:
        status = self.config[STATUS] & ~_INTERRUPT_STATUS
        self.config[STATUS] = status | (_INTERRUPT_STATUS if self._interrupt else 0)
        if self.pci:
            self.pci.route()

    def read_config(self, register: int, size: int) -> int:
        """A read of 1, 2 or 4 bytes that does not leave its doubleword."""
        return self.get(register, size)

    def write_config(self, register: int, size: int, value: int) -> None:
        """A write of 1, 2 or 4 bytes that does not leave its doubleword."""
        for at, byte in enumerate(value.to_bytes(size, "little"), register):
            writable = self._writable[at]
            self.config[at] = (self.config[at] & ~writable | byte & writable) & ~(byte & self._cleared[at])
        self._remap()
        self._drive()
        self.changed()

    def _place(self, bar: Bar) -> range | None:
        """Where the guest wants `bar`; None: nowhere."""
        base = self.get(BARS + 4 * bar.index, 4) & -bar.size & 0xFFFF_FFFF
        if not base or not self.config[COMMAND] & (IO_SPACE if bar.io else MEMORY_SPACE):
            return None
        last = base + bar.size - 1
        return range(base, last + 1) if last < (1 << 16 if bar.io else 0xFFFF_FFFF) else None

    def _remap(self) -> None:
        if not self.pci:
            return
        bus = self.pci.bus
        for bar in self.bars:
            place, now = self._place(bar), self._windows.get(bar.index)
            if place == (now[1] if now else None):
                continue
            if now:
                bus.release(*now)
                del self._windows[bar.index]
            if place:
                window = _Window(self, bar, place.start)
                self._windows[bar.index] = window, place
                if bar.io:
                    self.mapped(bar.index, place.start, bus.claim(window, place))
                else:
                    bus.claim_memory(window, place)


class PciBus(Device):
    """Bus 0 and its door, configuration mechanism #1."""

    name = "PCI"
    # CONFIG_ADDRESS answers doublewords only; the bytes behind it belong to others (0xcf9).
    ports = (range(CONFIG_ADDRESS, CONFIG_ADDRESS + 1), range(CONFIG_DATA, CONFIG_DATA + 4))

    def __init__(self) -> None:
        self._functions: dict[int, PciFunction] = {}  # by slot << 3 | function
        self._address = 0
        self._high = 0  # interrupt lines that PCI holds up, as bits
        self.pirq_irqs: Sequence[int | None] = (None,) * PIRQS
        """The ISA line that each PIRQ is routed to (`route` after a change)."""

    def plug(self, function: PciFunction, slot: int, number: int = 0) -> None:
        """Put a function into a slot (0-31). RingError where there is one, or no such slot."""
        place = slot << 3 | number
        if slot >= SLOTS:
            raise RingError(f"{function.name}: PCI has no slot beyond {SLOTS - 1}; take out another card")
        if place in self._functions:
            raise RingError(f"{function.name}: PCI {slot:02x}.{number} is {self._functions[place].name}; "
                            "give each its own slot")
        self._functions[place] = function
        if number:
            self._functions[slot << 3].config[HEADER_TYPE] |= _MULTIFUNCTION
        function.pci = self

    @property
    def functions(self) -> list[PciFunction]:
        """What is plugged in, by slot."""
        return [function for _, function in sorted(self._functions.items())]

    def irq_of(self, function: PciFunction) -> int | None:
        """The ISA line that the function's pin leads to now."""
        place = next(place for place, other in self._functions.items() if other is function)
        # The slots' pins are wired in turn, as on QEMU's board.
        return self.pirq_irqs[(place >> 3) - 1 + function.config[INTERRUPT_PIN] - 1 & PIRQS - 1]

    def attach(self, bus: Bus) -> None:
        self.bus = bus
        for function in self._functions.values():
            function.attached(bus)
            function._remap()
            function.changed()

    def route(self) -> None:
        """Raise and lower interrupt lines as the functions' pins and the routing say."""
        high = 0
        for function in self._functions.values():
            if function.config[INTERRUPT_PIN] and function.asserts:
                irq = self.irq_of(function)
                high |= 0 if irq is None else 1 << irq
        for irq in range(16):
            if (high ^ self._high) >> irq & 1:
                self.bus.set_irq(irq, bool(high >> irq & 1))
        self._high = high

    def _selected(self) -> PciFunction | None:
        if not self._address & _ENABLE or self._address >> 16 & 0xFF:
            return None
        place = self._address >> 8 & 0xFF
        function = self._functions.get(place)
        if function is None:
            self.bus.missing("pci", place, 0)
        return function

    def port_in(self, port: int, size: int) -> int:
        if port == CONFIG_ADDRESS:
            return self._address if size == 4 else ONES[size]
        offset = port - CONFIG_DATA
        if offset + size > 4:  # the processor makes two accesses of it
            return sum((self.bus.port_in(port + i, 1) & 0xFF) << 8 * i for i in range(size))
        function = self._selected()
        return function.read_config(self._address & 0xFC | offset, size) if function else ONES[size]

    def port_out(self, port: int, size: int, value: int) -> None:
        if port == CONFIG_ADDRESS:
            if size == 4:
                self._address = value & 0x80FF_FFFC
            return
        offset = port - CONFIG_DATA
        if offset + size > 4:
            for i in range(size):
                self.bus.port_out(port + i, 1, value >> 8 * i & 0xFF)
            return
        function = self._selected()
        if function:
            function.write_config(self._address & 0xFC | offset, size, value)
