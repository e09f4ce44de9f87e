"""Guest memory as devices reach it by themselves, past the processor.

Beyond RAM nobody takes what is written, and all ones are read; the BIOS's part of RAM can be read only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypervisor.memory_map import HIGH, ROM

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

LARGEST = 0x1_0000
_NOWHERE = memoryview(bytearray(LARGEST))  # takes what is written where nothing is
_ONES = memoryview(b"\xff" * LARGEST)


def pieces(memory: GuestMemory, address: int, count: int, writing: bool) -> Iterator[memoryview]:
    """Where the `count` bytes at guest-physical `address` are, in order; at most LARGEST bytes each."""
    while count:
        part = min(count, LARGEST)
        for edge in (ROM, HIGH, memory.size):
            if address < edge:
                part = min(part, edge - address)
        if address >= memory.size or (writing and ROM <= address < HIGH):
            yield (_NOWHERE if writing else _ONES)[:part]
        else:
            yield memory.window(address, part)
        address, count = address + part, count - part


def fetch(memory: GuestMemory, address: int, count: int) -> bytes:
    """What a device reads at guest-physical `address`."""
    return b"".join(pieces(memory, address, count, writing=False))


def store(memory: GuestMemory, address: int, data: bytes) -> None:
    """Write as a device does."""
    at = 0
    for piece in pieces(memory, address, len(data), writing=True):
        piece[:] = data[at : at + len(piece)]
        at += len(piece)
