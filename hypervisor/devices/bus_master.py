"""IDE's bus masters: how their descriptor tables say where in memory data goes.

Source: Intel 82371SB (PIIX3) data sheet, 2.3 and 3.7 ("Bus Master IDE"). The registers themselves are the monitor's
(hypervisor/monitor/bus_master.c), which also moves sectors; the VMM does what the monitor leaves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

COMMAND, STATUS, TABLE = 0, 2, 4  # registers of a channel
REGISTERS = 8  # bytes of ports for each channel
START = 1  # command
ACTIVE, ERROR, INTERRUPT = 1, 2, 4  # status
DESCRIPTORS = 8192  # a table does not leave its 64 KiB
LARGEST = 0x1_0000  # bytes of one descriptor
_LAST = 1 << 31


def _descriptors(memory: GuestMemory, table: int) -> Iterator[tuple[int, int, bool]]:
    """Address, bytes and whether it is the last, of each descriptor; where there is no RAM the bus reads all ones."""
    for at in range(table, table + 8 * DESCRIPTORS, 8):
        address, count = struct.unpack("<II", bytes(memory.window(at, 8)).ljust(8, b"\xff"))
        yield address, count & 0xFFFE or LARGEST, bool(count & _LAST)


def places(memory: GuestMemory, rom: range, table: int, wanted: int, reading: bool) -> tuple[list[memoryview], bool]:
    """Where `wanted` bytes go to (`reading` from the disk) or come from, and whether the table ends exactly there.

    The list is empty where the table describes fewer bytes. Beyond RAM nobody takes what is written and all ones are
    read; `rom`, addresses of RAM, can be read only.
    """
    out: list[memoryview] = []
    described = 0
    for address, count, last in _descriptors(memory, table):
        out += _pieces(memory, rom, address, min(count, wanted - described), reading)
        described += count
        if described >= wanted:
            return out, last and described == wanted
        if last:
            break
    return [], False


def _pieces(memory: GuestMemory, rom: range, address: int, count: int, reading: bool) -> Iterator[memoryview]:
    while count:
        part = count
        for edge in (rom.start, rom.stop, memory.size):
            if address < edge:
                part = min(part, edge - address)
        if address >= memory.size or (reading and address in rom):
            yield memoryview(bytearray(part) if reading else b"\xff" * part)
        else:
            yield memory.window(address, part)
        address, count = address + part, count - part
