"""The PCI chips of the PC: Intel 440FX host bridge and PIIX3 ISA bridge, as PC firmware leaves them.

Sources: Intel 82441FX data sheet, 3.2 (registers of the host bridge) and 82371SB (PIIX3) data sheet, 2.2. The values
that firmware sets are those of QEMU's "pc" machine. Memory attributes (PAM) and SMRAM control are storage only: there
is no shadow RAM and no SMM. Interrupt lines that PCI functions use are level-triggered in the PICs (ELCR).
"""

from __future__ import annotations

from hypervisor.devices.pci import COMMAND, PIRQS, STATUS, PciBus, PciFunction

INTEL = 0x8086
ISA_SLOT = 1
PIRQ_ROUTE = 0x60  # of PIRQA#, three more follow
_ROUTE_OFF = 0x80
PCI_IRQS = (10, 10, 11, 11)  # where firmware routes PIRQA# to PIRQD#
_ROUTABLE = 0xDEF8  # PIIX3 data sheet, PIRQRC: lines 0, 1, 2, 8 and 13 are reserved

# ISA recovery, X-bus decode, top of memory, motherboard device 0, DMA channels, system management
_AS_FIRMWARE_LEAVES_IT = (
    (0x4C, 0x4D), (0x4E, 0x03), (0x69, 0x02), (0x70, 0x80), (0x76, 0x0C), (0x77, 0x0C), (0x78, 0x02), (0xA0, 0x08),
    (0xA8, 0x0F),
)  # fmt: skip


class HostBridge(PciFunction):
    """82441FX: the processor's way to PCI."""

    name = "i440FX host bridge"

    def __init__(self) -> None:
        super().__init__(INTEL, 0x1237, 0x06_00_00, revision=2)
        self.set(COMMAND, 2, 0x0103)
        self.set(0x57, 1, 0x02)  # DRAM control
        self.config[0x59:0x60] = bytes.fromhex("10111111111133")  # PAM: who reads and writes the first MiB
        self.set(0x72, 1, 0x0A)  # SMRAM: closed


class IsaBridge(PciFunction):
    """82371SB function 0: PCI interrupts become ISA interrupts here."""

    name = "PIIX3 ISA bridge"

    def __init__(self) -> None:
        super().__init__(INTEL, 0x7000, 0x06_01_00)
        self.set(COMMAND, 2, 0x0103)
        self.set(STATUS, 2, 0x0200)  # medium DEVSEL# timing
        for register, value in _AS_FIRMWARE_LEAVES_IT:
            self.set(register, 1, value)
        for pirq, irq in enumerate(PCI_IRQS):
            self.set(PIRQ_ROUTE + pirq, 1, irq)

    def changed(self) -> None:
        assert self.pci
        routes = self.config[PIRQ_ROUTE : PIRQ_ROUTE + PIRQS]
        self.pci.pirq_irqs = tuple(
            None if route & _ROUTE_OFF or not _ROUTABLE >> (route & 15) & 1 else route & 15 for route in routes
        )
        self.pci.route()


def pci_bus() -> PciBus:
    """Bus 0 with its two bridges."""
    pci, isa = PciBus(), IsaBridge()
    pci.plug(HostBridge(), 0)
    pci.plug(isa, ISA_SLOT)
    return pci
