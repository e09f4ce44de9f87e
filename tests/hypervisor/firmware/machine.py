"""Firmware tables as a kernel finds them: by signature, in memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from hypervisor.firmware.firmware import Firmware

BIOS = range(0xF_0000, 0x10_0000, 16)


class Memory:
    """The first MiB of a machine with this firmware."""

    def __init__(self, firmware: Firmware) -> None:
        self.data = bytearray(1 << 20)
        for address, part in firmware.parts.items():
            self.data[address : address + len(part)] = part

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.data[address : address + length])

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 2), "little")

    def find(self, signature: bytes) -> int:
        """The one paragraph of the BIOS area that begins with `signature`."""
        (at,) = [at for at in BIOS if self.read(at, len(signature)) == signature]
        return at


def sums_to_zero(data: bytes) -> bool:
    return sum(data) & 0xFF == 0


@dataclass(frozen=True)
class Entry:
    """A typed entry of a table."""

    kind: int
    data: bytes


def mp_entries(memory: Memory) -> Iterator[Entry]:
    """Entries of the MP configuration table, with its checks (MP 1.4, chapter 4)."""
    pointer = memory.read(memory.find(b"_MP_"), 16)
    table, length, revision, _, feature1, feature2 = struct.unpack_from("<IBBBBB", pointer, 4)
    assert sums_to_zero(pointer) and (length, revision, feature1, feature2) == (1, 4, 0, 0)
    size = memory.word(table + 4)
    config = memory.read(table, size)
    assert config[:4] == b"PCMP" and sums_to_zero(config)
    assert struct.unpack_from("<I", config, 36)[0] == 0xFEE0_0000
    at, count = 44, 0
    while at < size:
        length = 20 if config[at] == 0 else 8
        yield Entry(config[at], config[at : at + length])
        at, count = at + length, count + 1
    assert at == size and count == struct.unpack_from("<H", config, 34)[0]


@dataclass(frozen=True)
class Table:
    """An ACPI table at its address, with header."""

    address: int
    data: bytes


def acpi_table(memory: Memory, address: int) -> Table:
    """The table at `address`, which must be whole."""
    length = struct.unpack_from("<I", memory.read(address, 8), 4)[0]
    data = memory.read(address, length)
    assert sums_to_zero(data)
    return Table(address, data)


def acpi_tables(memory: Memory) -> dict[bytes, Table]:
    """All tables by signature, reached from the RSDP by both roots, which must list the same (ACPI 6.5, 5.2.5)."""
    rsdp = memory.read(memory.find(b"RSD PTR "), 36)
    assert sums_to_zero(rsdp[:20]) and sums_to_zero(rsdp) and rsdp[15] == 2
    rsdt_at, length, xsdt_at = struct.unpack_from("<IIQ", rsdp, 16)
    assert length == 36
    rsdt, xsdt = acpi_table(memory, rsdt_at), acpi_table(memory, xsdt_at)
    assert (rsdt.data[:4], xsdt.data[:4]) == (b"RSDT", b"XSDT")
    narrow = struct.unpack(f"<{(len(rsdt.data) - 36) // 4}I", rsdt.data[36:])
    assert narrow == struct.unpack(f"<{(len(xsdt.data) - 36) // 8}Q", xsdt.data[36:])
    tables = {table.data[:4]: table for table in (acpi_table(memory, at) for at in narrow)}
    tables[b"DSDT"] = acpi_table(memory, struct.unpack_from("<I", tables[b"FACP"].data, 40)[0])
    return tables


def madt_entries(madt: Table) -> list[Entry]:
    """Interrupt controller structures (ACPI 6.5, 5.2.12)."""
    at, entries = 44, []
    while at < len(madt.data):
        kind, length = madt.data[at], madt.data[at + 1]
        assert length >= 2
        entries.append(Entry(kind, madt.data[at : at + length]))
        at += length
    assert at == len(madt.data)
    return entries


@dataclass(frozen=True)
class Structure:
    """An SMBIOS structure: its formatted part and its strings."""

    data: bytes
    strings: list[str]

    def text(self, offset: int) -> str:
        """The string whose number is at `offset`."""
        number = self.data[offset]
        return self.strings[number - 1] if number else ""


def smbios_structures(memory: Memory) -> dict[int, Structure]:
    """All structures by type, with the entry point's checks (DSP0134, 5.2.1)."""
    entry = memory.read(memory.find(b"_SM_"), 31)
    assert entry[5] == 31 and sums_to_zero(entry) and entry[16:21] == b"_DMI_" and sums_to_zero(entry[16:])
    longest, length, at, count = (
        struct.unpack_from("<H", entry, 8)[0], *struct.unpack_from("<HIH", entry, 22),
    )  # fmt: skip
    end, sizes, found = at + length, [], {}
    for _ in range(count):
        formatted = memory.read(at, memory.data[at + 1])
        stop = memory.data.index(b"\0\0", at + len(formatted)) + 2
        texts = bytes(memory.data[at + len(formatted) : stop - 2])
        found[formatted[0]] = Structure(formatted, texts.decode().split("\0") if texts else [])
        sizes.append(stop - at)
        at = stop
    assert at == end and max(sizes) == longest and len(found) == count
    return found
