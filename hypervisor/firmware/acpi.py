"""ACPI tables: power-off, the power management timer, interrupt controllers, PCI's interrupts and windows, and the
devices without a bus to ask.

The machine is in ACPI mode from the start (no SMI_CMD: ACPI 6.5, 4.8.3.2.1), has no buttons and no HPET, and can
be switched off and reset. Source: ACPI Specification 6.5, chapter 5; tables of revision 2.0, which all kernels read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hypervisor.devices.pci import CONFIG_ADDRESS
from hypervisor.devices.power import PM1_CONTROL, PM1_EVENT, PM_TIMER, RESET_CONTROL, RESET_VALUE, SLEEP_TYPE_S5
from hypervisor.firmware import aml
from hypervisor.firmware.interrupts import IOAPIC_ID, LAPIC_ID, ROUTES, SCI_IRQ, pci_routes
from hypervisor.firmware.rom import Rom, checksummed
from hypervisor.memory_map import BASE_END, FACS, IOAPIC, LAPIC, MAX_MEMORY

OEM, OEM_TABLE, CREATOR = b"RING3 ", b"RING3 PC", b"RNG3"
RSDP_V1_SIZE, RSDP_SIZE = 20, 36

_BOOT_ARCHITECTURE = 1 << 0 | 1 << 1 | 1 << 3  # LEGACY_DEVICES, 8042, no message-signalled interrupts
_WBINVD, _C1, _NO_POWER_BUTTON, _NO_SLEEP_BUTTON, _RESET_SUPPORTED = 1 << 0, 1 << 2, 1 << 4, 1 << 5, 1 << 10
_FLAGS = _WBINVD | _C1 | _NO_POWER_BUTTON | _NO_SLEEP_BUTTON | _RESET_SUPPORTED
_NO_C2, _NO_C3 = 101, 1001  # latencies (us) that say: not supported
_IO_SPACE = 1
_PCAT_COMPATIBLE = 1
_LAPIC_ENABLED = 1
_ALL_PROCESSORS, _LINT1 = 0xFF, 1
_VIDEO_SIZE = 0x2_0000  # of the VGA's windows
_COM_IRQS = {0x3F8: 4, 0x2F8: 3, 0x3E8: 4, 0x2E8: 3}


def place_acpi_tables(rom: Rom, serial_ports: Sequence[int]) -> tuple[int, bytes]:
    """Put all tables into the BIOS area, but the FACS, which is written to and so in RAM.

    `serial_ports`: first port of each UART. Returns the address of the RSDP, and the RSDP.
    """
    fadt = rom.place(_fadt(rom.place(_dsdt(serial_ports))))
    madt = rom.place(_madt())
    rsdt = rom.place(_table(b"RSDT", 1, struct.pack("<2I", fadt, madt)))
    xsdt = rom.place(_table(b"XSDT", 1, struct.pack("<2Q", fadt, madt)))
    first = checksummed(struct.pack("<8sB6sBI", b"RSD PTR ", 0, OEM, 2, rsdt), 8)
    rsdp = checksummed(first + struct.pack("<IQB3x", RSDP_SIZE, xsdt, 0), 32)
    return rom.place(rsdp), rsdp


def facs() -> bytes:
    """The firmware ACPI control structure: no waking vector, the global lock free."""
    return struct.pack("<4s6IB31x", b"FACS", 64, 0, 0, 0, 0, 0, 1)


def _table(signature: bytes, revision: int, body: bytes) -> bytes:
    header = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, OEM, OEM_TABLE, 1, CREATOR, 1)
    return checksummed(header + body, 9)


def _port(port: int, length: int) -> bytes:
    """A generic address structure for `length` bytes of I/O ports."""
    return struct.pack("<BBBBQ", _IO_SPACE, 8 * length, 0, min(length, 4).bit_length(), port) if length else bytes(12)


def _fadt(dsdt: int) -> bytes:
    head = struct.pack("<IIBBHIBBBB", FACS, dsdt, 0, 0, SCI_IRQ, 0, 0, 0, 0, 0)
    blocks = struct.pack("<8I", PM1_EVENT, 0, PM1_CONTROL, 0, 0, PM_TIMER, 0, 0)
    lengths = struct.pack("<8B", 4, 2, 0, 4, 0, 0, 0, 0)
    rest = struct.pack("<HHHHBBBBBHBI", _NO_C2, _NO_C3, 0, 0, 0, 0, 0, 0, 0x32, _BOOT_ARCHITECTURE, 0, _FLAGS)
    reset = _port(RESET_CONTROL, 1) + bytes([RESET_VALUE, 0, 0, 0])
    extended = struct.pack("<QQ", 0, dsdt) + b"".join(
        _port(port, length)
        for port, length in ((PM1_EVENT, 4), (0, 0), (PM1_CONTROL, 2), (0, 0), (0, 0), (PM_TIMER, 4), (0, 0), (0, 0))
    )
    return _table(b"FACP", 3, head + blocks + lengths + rest + reset + extended)


def _madt() -> bytes:
    entries = [
        struct.pack("<BBBBI", 0, 8, LAPIC_ID, LAPIC_ID, _LAPIC_ENABLED),
        struct.pack("<BBBBII", 1, 12, IOAPIC_ID, 0, IOAPIC, 0),
        *(struct.pack("<BBBBIH", 2, 10, 0, r.irq, r.pin, r.flags) for r in ROUTES if r.pin != r.irq or r.flags),
        struct.pack("<BBBHB", 4, 6, _ALL_PROCESSORS, 0, _LINT1),
    ]
    return _table(b"APIC", 1, struct.pack("<II", LAPIC, _PCAT_COMPATIBLE) + b"".join(entries))


def _device(path: str, identifier: str, *descriptors: bytes, uid: int = 0) -> bytes:
    return aml.device(
        path,
        aml.name("_HID", aml.eisa_id(identifier)),
        aml.name("_UID", aml.integer(uid)),
        aml.name("_CRS", aml.resources(*descriptors)),
    )


def _pci_bridge() -> bytes:
    """The host bridge: what it passes on, and where its slots' interrupts arrive."""
    routes = [
        aml.package(aml.integer(r.slot << 16 | 0xFFFF), aml.integer(r.pin), aml.integer(0), aml.integer(r.irq))
        for r in pci_routes()
    ]
    windows = (
        aml.bus_window(0, 0),
        aml.io(CONFIG_ADDRESS, 8),
        aml.port_window(0, CONFIG_ADDRESS - 1),
        aml.port_window(CONFIG_ADDRESS + 8, 0xFFFF),
        aml.memory_window(BASE_END, BASE_END + _VIDEO_SIZE - 1),
        aml.memory_window(MAX_MEMORY, IOAPIC - 1),
    )
    return aml.device(
        "PCI0",
        aml.name("_HID", aml.eisa_id("PNP0A03")),
        aml.name("_ADR", aml.integer(0)),
        aml.name("_UID", aml.integer(0)),
        aml.name("_CRS", aml.resources(*windows)),
        aml.name("_PRT", aml.package(*routes)),
    )


def _dsdt(serial_ports: Sequence[int]) -> bytes:
    off = aml.integer(SLEEP_TYPE_S5[PM1_CONTROL])
    devices = [
        _pci_bridge(),
        _device("RTC", "PNP0B00", aml.io(0x70, 2), aml.irq(8)),
        _device("KBD", "PNP0303", aml.io(0x60, 1), aml.io(0x64, 1), aml.irq(1)),
        _device("MOU", "PNP0F13", aml.irq(12)),
        *(
            _device(f"COM{number}", "PNP0501", aml.io(port, 8), aml.irq(_COM_IRQS[port]), uid=number)
            for number, port in enumerate(serial_ports, 1)
        ),
    ]
    terms = aml.name("\\_S5", aml.package(off, off, aml.integer(0), aml.integer(0))), aml.scope("\\_SB", *devices)
    return _table(b"DSDT", 1, b"".join(terms))
