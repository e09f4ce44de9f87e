"""IDE's bus masters: how their descriptor tables say where in memory data goes.

Source: Intel 82371SB (PIIX3) data sheet, 2.3 and 3.7 ("Bus Master IDE"). The registers themselves are the monitor's
(hypervisor/monitor/bus_master.c), which also moves sectors; the VMM does what the monitor leaves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hypervisor.devices import dma

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

COMMAND, STATUS, TABLE = 0, 2, 4  # registers of a channel
REGISTERS = 8  # bytes of ports for each channel
START = 1  # command
ACTIVE, ERROR, INTERRUPT = 1, 2, 4  # status
DESCRIPTORS = 8192  # a table does not leave its 64 KiB
_LAST = 1 << 31


def _descriptors(memory: GuestMemory, table: int) -> Iterator[tuple[int, int, bool]]:
    """Address, bytes and whether it is the last, of each descriptor."""
    for at in range(table, table + 8 * DESCRIPTORS, 8):
        address, count = struct.unpack("<II", dma.fetch(memory, at, 8))
        yield address, count & 0xFFFE or dma.LARGEST, bool(count & _LAST)


def places(memory: GuestMemory, table: int, wanted: int, reading: bool) -> tuple[list[memoryview], bool]:
    """Where `wanted` bytes go to (`reading` from the disk) or come from, and whether the table ends exactly there.

    The list is empty where the table describes fewer bytes.
    """
    out: list[memoryview] = []
    described = 0
    for address, count, last in _descriptors(memory, table):
        out += dma.pieces(memory, address, min(count, wanted - described), writing=reading)
        described += count
        if described >= wanted:
            return out, last and described == wanted
        if last:
            break
    return [], False
