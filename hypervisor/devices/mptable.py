"""MP tables: how a kernel learns of processors and interrupt controllers.

Source: Intel MultiProcessor Specification 1.4, chapter 4. The machine is the one QEMU's "pc" shows: ISA
interrupts are wired one to one to the IOAPIC, but the timer (IRQ 0) to input 2.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypervisor.memory_map import IOAPIC, LAPIC, ROM

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

POINTER = ROM + 0x5A0  # floating pointer, 16-aligned
TABLE = ROM + 0x5B0
LAPIC_ID, IOAPIC_ID, ISA_BUS = 0, 1, 0
APIC_VERSION, IOAPIC_VERSION = 0x14, 0x11
CPU_SIGNATURE = 0x0673  # family 6, as cpuid leaf 1 says
CPU_FEATURES = 0x0201  # FPU, APIC (the bits that MP 1.4 defines)
_CPU_ENABLED, _CPU_BOOT = 1, 2
_INT, _NMI, _EXTINT = 0, 1, 3
_ALL_LAPICS = 0xFF


def _checksummed(data: bytes, at: int) -> bytes:
    """`data` with the byte at offset `at` set so that all bytes sum to 0."""
    return data[:at] + bytes([-sum(data) & 0xFF]) + data[at + 1 :]


def _entries() -> list[bytes]:
    entries = [
        struct.pack("<BBBBII8x", 0, LAPIC_ID, APIC_VERSION, _CPU_ENABLED | _CPU_BOOT, CPU_SIGNATURE, CPU_FEATURES),
        struct.pack("<BB6s", 1, ISA_BUS, b"ISA   "),
        struct.pack("<BBBBI", 2, IOAPIC_ID, IOAPIC_VERSION, 1, IOAPIC),
    ]
    for irq in range(16):
        if irq != 2:  # the cascade of the PICs; its input belongs to the timer
            pin = 2 if irq == 0 else irq
            entries.append(struct.pack("<BBHBBBB", 3, _INT, 0, ISA_BUS, irq, IOAPIC_ID, pin))
    entries.append(struct.pack("<BBHBBBB", 4, _EXTINT, 0, ISA_BUS, 0, LAPIC_ID, 0))
    entries.append(struct.pack("<BBHBBBB", 4, _NMI, 0, ISA_BUS, 0, _ALL_LAPICS, 1))
    return entries


def configuration_table() -> bytes:
    """The MP configuration table with its checksum."""
    entries = _entries()
    body = b"".join(entries)
    header = struct.pack(
        "<4sHBB8s12sIHHIHBx",
        b"PCMP", 44 + len(body), 4, 0, b"RING3   ", b"RING3 PC    ", 0, 0, len(entries), LAPIC, 0, 0,
    )  # fmt: skip
    return _checksummed(header + body, 7)


def floating_pointer() -> bytes:
    """The MP floating pointer: no default configuration, no IMCR (the PICs are wired through)."""
    return _checksummed(struct.pack("<4sIBBBBBBH", b"_MP_", TABLE, 1, 4, 0, 0, 0, 0, 0), 10)


def write_mp_tables(memory: GuestMemory) -> None:
    """Put both structures into the BIOS area."""
    memory.write(POINTER, floating_pointer())
    memory.write(TABLE, configuration_table())
