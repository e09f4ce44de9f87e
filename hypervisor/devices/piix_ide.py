"""PIIX3's IDE function: the two channels on PCI, always at their legacy ports and interrupts.

Source: Intel 82371SB (PIIX3) data sheet, 2.3. Base address 4 leads to the bus masters (`bus_master`). The decode
enable and timing registers (40h to 44h) are storage only, as in QEMU: the channels always answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.bus import ONES, Bus
from hypervisor.devices.bus_master import COMMAND, REGISTERS
from hypervisor.devices.i440fx import INTEL
from hypervisor.devices.ide import IdeChannel
from hypervisor.devices.pci import BARS, STATUS, Bar, PciFunction
from hypervisor.devices.pci import COMMAND as PCI_COMMAND

MASTER_BAR = 4
MASTER_PORTS = 0xC000  # where firmware puts them
_DECODE = 0x40  # IDE timing, one word for each channel
_DECODE_ENABLED = 0x8000


class PiixIde(PciFunction):
    """82371SB function 1."""

    name = "PIIX3 IDE"

    def __init__(self, channels: Sequence[IdeChannel]) -> None:
        super().__init__(INTEL, 0x7010, 0x01_01_80, bars=(Bar(MASTER_BAR, 2 * REGISTERS, io=True),))
        self.channels = tuple(channels)
        self.set(PCI_COMMAND, 2, 0x0103)
        self.set(STATUS, 2, 0x0280)  # fast back-to-back, medium DEVSEL# timing
        self.set(BARS + 4 * MASTER_BAR, 4, MASTER_PORTS | 1)
        for place in range(len(self.channels)):
            self.set(_DECODE + 2 * place, 2, _DECODE_ENABLED)

    def attached(self, bus: Bus) -> None:
        self._bus = bus

    def mapped(self, bar: int, base: int, ports: Sequence[int]) -> None:
        self._bus.bus_master({port: self.channels[(port - base) // REGISTERS].number * REGISTERS
                              + (port - base) % REGISTERS for port in ports})

    def changed(self) -> None:
        for channel in self.channels:
            channel.enable_master(self.is_master)

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        return ONES[size]  # the monitor answers

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        """The monitor has taken the value already; it asks for the transfer that a start begins."""
        if offset % REGISTERS == COMMAND:
            self.channels[offset // REGISTERS].master_changed()
