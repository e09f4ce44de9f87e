"""MP tables: how a kernel learns of processors and interrupt controllers.

Source: Intel MultiProcessor Specification 1.4, chapter 4.
"""

from __future__ import annotations

import struct

from hypervisor.cpu_model import CpuModel
from hypervisor.firmware.interrupts import IOAPIC_ID, LAPIC_ID, LEVEL_HIGH, ROUTES, pci_routes
from hypervisor.firmware.rom import Rom, checksummed
from hypervisor.memory_map import IOAPIC, LAPIC

PCI_BUS, ISA_BUS = 0, 1  # PCI buses have their own numbers
APIC_VERSION, IOAPIC_VERSION = 0x14, 0x20  # what their version registers say
_CPU_FEATURES = 0x381  # those that MP 1.4 defines: FPU, MCE, CX8, APIC
_CPU_ENABLED, _CPU_BOOT = 1, 2
_INT, _NMI, _EXTINT = 0, 1, 3
_ALL_LAPICS = 0xFF


def _entries(cpu: CpuModel) -> list[bytes]:
    return [
        struct.pack("<BBBBII8x", 0, LAPIC_ID, APIC_VERSION, _CPU_ENABLED | _CPU_BOOT, cpu.signature,
                    cpu.edx & _CPU_FEATURES),
        struct.pack("<BB6s", 1, PCI_BUS, b"PCI   "),
        struct.pack("<BB6s", 1, ISA_BUS, b"ISA   "),
        struct.pack("<BBBBI", 2, IOAPIC_ID, IOAPIC_VERSION, 1, IOAPIC),
        *(
            struct.pack("<BBHBBBB", 3, _INT, LEVEL_HIGH, PCI_BUS, r.slot << 2 | r.pin, IOAPIC_ID, r.irq)
            for r in pci_routes()
        ),
        *(struct.pack("<BBHBBBB", 3, _INT, r.flags, ISA_BUS, r.irq, IOAPIC_ID, r.pin) for r in ROUTES),
        struct.pack("<BBHBBBB", 4, _EXTINT, 0, ISA_BUS, 0, LAPIC_ID, 0),
        struct.pack("<BBHBBBB", 4, _NMI, 0, ISA_BUS, 0, _ALL_LAPICS, 1),
    ]


def configuration_table(cpu: CpuModel) -> bytes:
    """The MP configuration table with its checksum."""
    entries = _entries(cpu)
    body = b"".join(entries)
    header = struct.pack(
        "<4sHBB8s12sIHHIHBx",
        b"PCMP", 44 + len(body), 4, 0, b"RING3   ", b"RING3 PC    ", 0, 0, len(entries), LAPIC, 0, 0,
    )  # fmt: skip
    return checksummed(header + body, 7)


def place_mp_tables(rom: Rom, cpu: CpuModel) -> int:
    """Put both structures into the BIOS area: no default configuration, no IMCR (the PICs are wired through).

    Returns the address of the floating pointer.
    """
    table = rom.place(configuration_table(cpu))
    return rom.place(checksummed(struct.pack("<4sIBBBBBBH", b"_MP_", table, 1, 4, 0, 0, 0, 0, 0), 10))
