"""Firmware tables, read back by parsers of their own, agree with their specifications and with each other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.bus import MachineStop
from hypervisor.cpu_model import DEFAULT, MODELS, CpuModel
from hypervisor.devices.i440fx import pci_bus
from hypervisor.devices.pci import PciFunction
from hypervisor.devices.power import PowerOff, ResetControl
from hypervisor.firmware import firmware
from hypervisor.firmware.firmware import Firmware
from hypervisor.memory_map import KIB, MAX_MEMORY, MIB, MIN_MEMORY, USABLE, memory_map
from tests.hypervisor.devices.machine import Machine
from tests.hypervisor.firmware.machine import (
    Memory,
    Table,
    acpi_tables,
    madt_entries,
    mp_entries,
    smbios_structures,
)
from tests.hypervisor.firmware.test_aml import Reader


def make_firmware(memory: int, disks: int, ports: Sequence[int] = (0x3F8,),
                  cpu: CpuModel = MODELS[DEFAULT]) -> Firmware:
    return firmware.make_firmware(memory, disks, ports, cpu)


@pytest.fixture
def memory() -> Memory:
    return Memory(make_firmware(256 * MIB, disks=2))


@pytest.fixture
def tables(memory: Memory) -> dict[bytes, Table]:
    return acpi_tables(memory)


def field(table: Table, offset: int, code: str) -> int:
    return int(struct.unpack_from("<" + code, table.data, offset)[0])


# --- MP and ACPI on interrupts


def test_mp_tables(memory: Memory) -> None:
    entries = list(mp_entries(memory))
    assert [entry.kind for entry in entries].count(0) == 1
    ioapic = next(entry.data for entry in entries if entry.kind == 2)
    assert ioapic[1] == 1 and ioapic[3] & 1 and struct.unpack_from("<I", ioapic, 4)[0] == 0xFEC0_0000
    buses = {entry.data[1]: entry.data[2:8] for entry in entries if entry.kind == 1}
    assert buses == {0: b"PCI   ", 1: b"ISA   "}
    routes = {entry.data[5]: entry.data[7] for entry in entries if entry.kind == 3 and entry.data[4] == 1}
    assert routes == {0: 2} | {irq: irq for irq in range(16) if irq not in (0, 2)}
    assert sum(entry.kind == 4 for entry in entries) == 2


def test_the_madt_says_what_the_mp_tables_say(memory: Memory, tables: dict[bytes, Table]) -> None:
    madt, entries = tables[b"APIC"], list(mp_entries(memory))
    assert (field(madt, 36, "I"), field(madt, 40, "I")) == (0xFEE0_0000, 1)
    controllers = madt_entries(madt)
    processors = [entry.data[3] for entry in controllers if entry.kind == 0 and entry.data[4] & 1]
    assert processors == [entry.data[1] for entry in entries if entry.kind == 0]
    (ioapic,) = [struct.unpack("<BBBBII", entry.data) for entry in controllers if entry.kind == 1]
    (mp_ioapic,) = [entry.data for entry in entries if entry.kind == 2]
    assert ioapic[2] == mp_ioapic[1] and ioapic[4:] == (struct.unpack_from("<I", mp_ioapic, 4)[0], 0)
    told = {irq: (irq, 0) for irq in range(16)}  # ISA interrupts without an override are wired one to one
    for entry in controllers:
        if entry.kind == 2:
            bus, irq, pin, flags = struct.unpack_from("<BBIH", entry.data, 2)
            assert bus == 0
            told[irq] = (pin, flags)
    isa = [entry.data for entry in entries if entry.kind == 3 and entry.data[4] == 1]
    by_mp = {data[5]: (data[7], data[2]) for data in isa}
    assert by_mp == {irq: told[irq] for irq in by_mp} and told.keys() - by_mp.keys() == {2}
    assert told[field(tables[b"FACP"], 46, "H")][1] == 0xD, "ACPI's interrupt is a level"


def test_pci_interrupts(memory: Memory, tables: dict[bytes, Table]) -> None:
    """_PRT, the MP tables, the ISA bridge as firmware leaves it, and what the bus does, all say the same."""
    code = tables[b"DSDT"].data[36:]
    ((_, devices),) = [term for term in Reader(code).terms(len(code)) if term[0] == "\\_SB_"]
    bridge = dict(dict(devices)["PCI0"])
    assert bridge["_HID"] == 0x030AD041
    assert all(where & 0xFFFF == 0xFFFF and not source for where, _, source, _ in bridge["_PRT"])
    told = {(where >> 16, pin): gsi for where, pin, _, gsi in bridge["_PRT"]}
    assert told.keys() == {(slot, pin) for slot in range(1, 32) for pin in range(4)}
    pci = [entry.data for entry in mp_entries(memory) if entry.kind == 3 and entry.data[4] == 0]
    assert {(data[5] >> 2, data[5] & 3): data[7] for data in pci} == told
    overrides = {entry.data[3]: struct.unpack_from("<IH", entry.data, 4) for entry in madt_entries(tables[b"APIC"])
                 if entry.kind == 2}  # fmt: skip
    assert all(overrides[irq] == (irq, 0xD) for irq in told.values()), "levels"
    for slot, pin in ((2, 0), (3, 1), (7, 3), (31, 2)):
        lines: list[tuple[int, bool]] = []
        bus, card = pci_bus(), PciFunction(0x1234, 0x5678, 0x020000, pin=pin + 1)
        bus.plug(card, slot)
        guest = Machine(bus)
        guest.bus.set_irq = lambda line, level, lines=lines: lines.append((line, level))  # type: ignore[method-assign]
        card.interrupt(True)
        assert lines == [(told[slot, pin], True)]


# --- the FADT and what its registers do


def test_the_fadt(memory: Memory, tables: dict[bytes, Table]) -> None:
    fadt = tables[b"FACP"]
    assert (len(fadt.data), fadt.data[8]) == (244, 3)
    assert field(fadt, 48, "I") == 0, "no SMI command: always in ACPI mode"
    for old, extended, length in ((56, 148, 88), (64, 172, 89), (76, 208, 91)):
        space, width, shift, _, port = struct.unpack_from("<BBBBQ", fadt.data, extended)
        assert (space, width, shift, port) == (1, 8 * fadt.data[length], 0, field(fadt, old, "I"))
    assert field(fadt, 140, "Q") == field(fadt, 40, "I") == tables[b"DSDT"].address
    facs = field(fadt, 36, "I")
    assert facs % 64 == 0 and memory.read(facs, 8) == b"FACS\x40\0\0\0"
    assert not any(facs in range(part.base, part.end) for part in memory_map(256 * MIB) if part.kind == USABLE)
    assert facs < 0xF_0000, "kernels write to it"


def test_its_reset_register_resets(tables: dict[bytes, Table]) -> None:
    fadt = tables[b"FACP"]
    assert field(fadt, 112, "I") >> 10 & 1
    guest = Machine(ResetControl())
    with pytest.raises(MachineStop) as stop:
        guest.out(field(fadt, 120, "Q"), fadt.data[128])
    assert stop.value.action == "reset"


def test_power_off_as_kernels_without_an_interpreter_do_it(tables: dict[bytes, Table]) -> None:
    code = tables[b"DSDT"].data
    at = code.index(b"_S5_")
    assert code[at - 2 : at] == b"\x08\\" and code[at + 4] == 0x12
    at += 5
    at += (code[at] >> 6) + 2  # PkgLength, number of elements
    at += code[at] == 0x0A  # BytePrefix
    guest = Machine(PowerOff())
    control = field(tables[b"FACP"], 64, "I")
    assert guest.in_(control, 2) & 1, "SCI_EN"
    with pytest.raises(MachineStop) as stop:
        guest.out(control, code[at] << 10 | 1 << 13, 2)
    assert stop.value.action == "poweroff"


# --- SMBIOS


sizes = st.integers(MIN_MEMORY // 4096, MAX_MEMORY // 4096).map(lambda pages: pages * 4096)


@given(sizes)
def test_smbios(size: int) -> None:
    found = smbios_structures(Memory(make_firmware(size, disks=1)))
    assert found.keys() == {0, 1, 3, 4, 16, 17, 19, 32, 127}
    assert found[0].text(4) == found[1].text(4) == "ring3"
    assert all(len(part.data) == part.data[1] for part in found.values())
    minimum = {0: 0x18, 1: 0x1B, 3: 0x15, 4: 0x2A, 16: 0x17, 17: 0x28, 19: 0x1F, 32: 0x0B}  # of version 2.8
    assert all(len(found[kind].data) >= least for kind, least in minimum.items())
    assert int.from_bytes(found[16].data[7:11], "little") * KIB == size
    first, last = struct.unpack_from("<II", found[19].data, 4)
    assert (first, (last + 1) * KIB) == (0, size)
    told = int.from_bytes(found[17].data[12:14], "little")
    assert size - MIB < (told & 0x7FFF) * (KIB if told >> 15 else MIB) <= size
    assert found[17].data[4:6] == found[19].data[12:14] == found[16].data[2:4], "both point to the array"


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_the_processor_is_that_of_cpuid(model: CpuModel) -> None:
    memory = Memory(make_firmware(64 * MIB, 1, cpu=model))
    _, eax, _, _, edx = next(leaf for leaf in model.leaves() if leaf[0] == 1)
    assert struct.unpack("<II", smbios_structures(memory)[4].data[8:16]) == (eax, edx)
    processor = next(entry for entry in mp_entries(memory) if entry.kind == 0)
    assert struct.unpack("<II", processor.data[4:12]) == (eax, edx & 0x381)


# --- the BIOS's variables


def test_the_bios_data_area(memory: Memory) -> None:
    assert [memory.word(at) for at in (0x400, 0x402, 0x408, 0x413, 0x40E, 0x463)] == [0x3F8, 0, 0, 639, 0x9FC0, 0x3D4]
    assert memory.word(0x41A) == memory.word(0x41C), "the keyboard buffer is empty"
    assert memory.read(0x475, 1) == b"\2" and memory.read(0x449, 1) == b"\3"
    for vector in range(256):
        offset, segment = struct.unpack("<HH", memory.read(vector * 4, 4))
        assert memory.read(segment * 16 + offset, 1) == b"\xcf", "interrupt vectors lead to an IRET"


def test_services_begin_where_a_compatible_bios_has_them(memory: Memory) -> None:
    """As SeaBIOS's vectors read on QEMU's PC."""
    read = {number: struct.unpack("<HH", memory.read(number * 4, 4)) for number in (2, 0x10, 0x13, 0x15, 0x1A, 0x21)}
    assert read == {2: (0xE2C3, 0xF000), 0x10: (0xF065, 0xF000), 0x13: (0xE3FE, 0xF000), 0x15: (0xF859, 0xF000),
                    0x1A: (0xFE6E, 0xF000), 0x21: (0xFF53, 0xF000)}  # fmt: skip


@pytest.mark.parametrize("ports", [(), (0x3F8,), (0x3F8, 0x2F8), (0x3F8, 0x2F8, 0x3E8, 0x2E8)])
def test_serial_ports_are_told_in_the_data_area_and_in_the_dsdt(ports: tuple[int, ...]) -> None:
    memory = Memory(make_firmware(64 * MIB, 1, ports))
    assert [memory.word(0x400 + 2 * at) for at in range(4)] == [*ports, *[0] * (4 - len(ports))]
    assert memory.word(0x410) >> 9 & 7 == len(ports)
    code = acpi_tables(memory)[b"DSDT"].data
    assert [struct.pack("<BBHHBB", 0x47, 1, port, port, 1, 8) in code for port in ports] == [True] * len(ports)
    assert code.count(b"COM") == len(ports)


def test_neither_floppy_nor_hpet_is_told_of(memory: Memory) -> None:
    assert not memory.word(0x410) & 1 and b"HPET" not in memory.data
    code = acpi_tables(memory)[b"DSDT"].data
    assert not any(bytes.fromhex(number) in code for number in ("0c41d00700", "0c41d00103"))  # PNP0700, PNP0103


def test_the_same_machine_begins_the_same_each_time(memory: Memory) -> None:
    assert Memory(make_firmware(256 * MIB, disks=2)).data == memory.data


# --- where it all lies


@given(sizes, st.integers(0, 4), st.integers(0, 4))
def test_nothing_overlaps_and_nothing_lies_in_usable_memory(size: int, disks: int, uarts: int) -> None:
    parts = sorted(make_firmware(size, disks, (0x3F8, 0x2F8, 0x3E8, 0x2E8)[:uarts]).parts.items())
    ends = [(at, at + len(data)) for at, data in parts]
    assert all(first[1] <= second[0] for first, second in pairwise(ends))
    usable = [part for part in memory_map(size) if part.kind == USABLE]
    for start, end in ends:
        assert end <= 0x500 or not any(start < part.end and part.base < end for part in usable)
