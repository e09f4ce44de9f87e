"""Memory as devices reach it: RAM, the BIOS's part of it, and what is beyond."""

from __future__ import annotations

from hypervisor.devices import dma
from hypervisor.memory_map import HIGH, ROM
from tests.hypervisor.fakes import FakeMemory


def test_what_is_written_stays_in_ram_and_out_of_the_bios() -> None:
    memory = FakeMemory()
    for start, end in ((ROM, HIGH), (memory.size, memory.size + 32)):
        for at, size in ((start - 16, 64), (start, 16), (end - 16, 32), (start - 16, end - start + 32)):
            before = bytes(memory.data)
            dma.store(memory, at, b"x" * size)
            touched = {place for place in range(memory.size) if memory.data[place] != before[place]}
            wanted = {place for place in range(at, at + size) if place < memory.size and not ROM <= place < HIGH}
            assert touched == wanted
            memory.data[:] = bytes(memory.size)


def test_ones_are_read_beyond_ram() -> None:
    memory = FakeMemory()
    memory.data[-16:] = b"0123456789abcdef"
    assert dma.fetch(memory, memory.size - 16, 24) == b"0123456789abcdef" + b"\xff" * 8
    assert dma.fetch(memory, 1 << 40, 100_000) == b"\xff" * 100_000


def test_what_leads_nowhere_costs_no_memory() -> None:
    memory = FakeMemory()
    places = [piece for _ in range(100) for piece in dma.pieces(memory, 0xE000_0000, dma.LARGEST, writing=True)]
    assert len({id(piece.obj) for piece in places}) == 1
