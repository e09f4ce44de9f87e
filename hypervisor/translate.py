"""Walking a guest's page tables from outside, without side effects (SDM vol. 3, 4.3)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

_PRESENT, _LARGE = 0x01, 0x80
_CR0_PG, _CR4_PSE = 0x8000_0000, 0x10
_PAGE = 4096


class AddressSpace:
    """Guest-linear memory under the given control registers; accessed bits are left alone."""

    def __init__(self, memory: GuestMemory, cr0: int, cr3: int, cr4: int) -> None:
        self._memory = memory
        self._paging, self._large = bool(cr0 & _CR0_PG), bool(cr4 & _CR4_PSE)
        self._directory = cr3 & 0xFFFF_F000

    def physical(self, address: int) -> int | None:
        """Guest-physical address of a guest-linear one; None where the tables map nothing."""
        if not self._paging:
            return address
        entry = self._entry(self._directory + (address >> 22) * 4)
        if not entry & _PRESENT:
            return None
        if entry & _LARGE and self._large:
            return entry & 0xFFC0_0000 | address & 0x3F_FFFF
        entry = self._entry((entry & 0xFFFF_F000) + (address >> 12 & 0x3FF) * 4)
        return entry & 0xFFFF_F000 | address & 0xFFF if entry & _PRESENT else None

    def read(self, address: int, length: int) -> bytes:
        """Up to `length` bytes from guest-linear `address`: fewer where a page is not mapped or not RAM."""
        data = b""
        while len(data) < length:
            at = address + len(data) & 0xFFFF_FFFF
            physical = self.physical(at)
            count = min(length - len(data), _PAGE - at % _PAGE)
            if physical is None:
                break
            try:
                data += self._memory.read(physical, count)
            except RingError:
                break
        return data

    def word(self, address: int) -> int | None:
        """The 32-bit value at guest-linear `address`; None where nothing is mapped."""
        data = self.read(address, 4)
        return int.from_bytes(data, "little") if len(data) == 4 else None

    def _entry(self, address: int) -> int:
        try:
            return int(struct.unpack("<I", self._memory.read(address, 4))[0])
        except RingError:
            return 0
