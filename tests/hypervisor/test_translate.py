"""Walking guest page tables from outside."""

from __future__ import annotations

import struct

import pytest

from hypervisor.translate import AddressSpace
from tests.hypervisor.fakes import FakeMemory

PG, PSE = 0x8000_0001, 0x10


class StrictMemory(FakeMemory):
    """Refuses what lies beyond RAM, as guest memory does."""

    def read(self, address: int, length: int) -> bytes:
        from hypervisor.errors import RingError

        if address + length > self.size:
            raise RingError("beyond RAM")
        return super().read(address, length)


@pytest.fixture
def memory() -> FakeMemory:
    """Directory at 0x1000: 0xC0000000 -> table at 0x2000 -> page 0x5000 (and 0x7000); 0x400000: a large page."""
    memory = StrictMemory()
    for address, entry in (
        (0x1000 + 4 * 0x300, 0x2003), (0x1000 + 4, 0x0040_0083), (0x1000 + 8, 0xF000_0003),
        (0x2000, 0x5003), (0x2004, 0x7001), (0x2008, 0x9002), (0x200C, 0xFFFF_F003),
    ):  # fmt: skip
        memory.write(address, struct.pack("<I", entry))
    memory.write(0x5FFE, b"ab")
    memory.write(0x7000, b"cd")
    return memory


def test_without_paging_addresses_are_physical(memory: FakeMemory) -> None:
    assert AddressSpace(memory, 1, 0x1000, 0).physical(0xC000_0000) == 0xC000_0000


def test_pages_and_large_pages(memory: FakeMemory) -> None:
    space = AddressSpace(memory, PG, 0x1000, PSE)
    assert space.physical(0xC000_0123) == 0x5123
    assert space.physical(0x0040_1234) == 0x0040_1234
    assert space.physical(0xC000_2000) is None and space.physical(0x1234_5678) is None


def test_tables_outside_ram_map_nothing(memory: FakeMemory) -> None:
    space = AddressSpace(memory, PG, 0x1000, PSE)
    assert space.physical(0x0080_0000) is None
    assert AddressSpace(memory, PG, 0xFFFF_F000, PSE).physical(0) is None
    assert space.read(0xC000_3000, 4) == b"" and space.word(0xC000_3000) is None


def test_reads_cross_pages_and_end_where_nothing_is_mapped(memory: FakeMemory) -> None:
    space = AddressSpace(memory, PG, 0x1000, PSE)
    assert space.read(0xC000_0FFE, 4) == b"abcd"
    assert space.word(0xC000_0FFE) == int.from_bytes(b"abcd", "little")
    assert len(space.read(0xC000_1000, 10000)) == 4096


def test_wide_entries(memory: FakeMemory) -> None:
    """PAE: the pointers are what CR3 loaded, whatever lies in memory now; pages of 2 MiB are always there."""
    for address, entry in (
        (0x3000, 0x0020_0083), (0x3008, 0x4003), (0x4000 + 8 * 511, 0x8000_0000_0000_5003),
        (0x4000, 0x1_0000_5003),
    ):  # fmt: skip
        memory.write(address, struct.pack("<Q", entry))
    space = AddressSpace(memory, PG, 0x1000, 0x20, (0, 0, 0, 0x3001))
    assert space.physical(0xC000_1234) == 0x0020_1234
    assert space.physical(0xC03F_F123) == 0x5123
    assert space.physical(0xC020_0000) == 0x1_0000_5000 and space.read(0xC020_0000, 4) == b""
    assert space.physical(0xC020_1000) is None and space.physical(0) is None
