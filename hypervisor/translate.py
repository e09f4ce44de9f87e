"""Walking a guest's page tables from outside, without side effects (SDM vol. 3, 4.3 and 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

_PRESENT, _USER, _LARGE = 0x01, 0x04, 0x80
_CR0_PG, _CR4_PSE, _CR4_PAE = 0x8000_0000, 0x10, 0x20
_FRAME = 0x000F_FFFF_FFFF_F000
_PAGE = 4096


class AddressSpace:
    """Guest-linear memory under the given control registers; accessed bits are left alone.

    `pdpte`: the four directory pointers that CR3 loaded, for PAE paging.
    """

    def __init__(self, memory: GuestMemory, cr0: int, cr3: int, cr4: int, pdpte: Sequence[int] = (0, 0, 0, 0)) -> None:
        self._memory = memory
        self._paging = bool(cr0 & _CR0_PG)
        self._wide = bool(cr4 & _CR4_PAE)
        self._large = self._wide or bool(cr4 & _CR4_PSE)
        self._shift = 21 if self._wide else 22
        self._pointers = tuple(pdpte)
        self._directory = cr3 & 0xFFFF_F000

    def physical(self, address: int) -> int | None:
        """Guest-physical address of a guest-linear one; None where the tables map nothing."""
        if not self._paging:
            return address
        entry = self._directory_entry(address >> self._shift)
        if not entry & _PRESENT:
            return None
        if entry & _LARGE and self._large:
            offset = (1 << self._shift) - 1
            return entry & _FRAME & ~offset | address & offset
        entry = self._entry(entry & _FRAME, address >> 12 & (1 << self._shift - 12) - 1)
        return entry & _FRAME | address & 0xFFF if entry & _PRESENT else None

    def kernel_memory(self, address: int) -> int | None:
        """As `physical`, for what only supervisor code may reach, in RAM; without paging that is everything."""
        physical = self.physical(address)
        if physical is None or (self._paging and self._is_users(address)):
            return None
        try:
            self._memory.read(physical, 1)
        except RingError:
            return None
        return physical

    def _is_users(self, address: int) -> bool:
        """Whether the tables, which map `address`, let user code reach it."""
        entry = self._directory_entry(address >> self._shift)
        if entry & _USER and not (entry & _LARGE and self._large):
            entry = self._entry(entry & _FRAME, address >> 12 & (1 << self._shift - 12) - 1)
        return bool(entry & _USER)

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

    def _directory_entry(self, region: int) -> int:
        if not self._wide:
            return self._entry(self._directory, region)
        pointer = self._pointers[region >> 9]
        return self._entry(pointer & _FRAME, region & 0x1FF) if pointer & _PRESENT else 0

    def _entry(self, table: int, index: int) -> int:
        size = 8 if self._wide else 4
        try:
            return int.from_bytes(self._memory.read(table + index * size, size), "little")
        except RingError:
            return 0
