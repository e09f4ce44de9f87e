"""Guest RAM: a memory file that the monitor maps too."""

from __future__ import annotations

import mmap
import os

from hypervisor.errors import RingError


class MemoryRange(RingError):
    """An access beyond the end of guest RAM."""


class GuestMemory:
    """`size` bytes of RAM from guest-physical address 0, as a memfd (`fd`) and a view of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fd = os.memfd_create("ring3-ram", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self.fd, size)
            self._map = mmap.mmap(self.fd, size)
        except OSError as error:
            os.close(self.fd)
            raise RingError(f"cannot get {size >> 20} MiB of guest memory ({error.strerror}); "
                            "ask for less with --memory") from error

    @property
    def view(self) -> memoryview:
        """All of RAM, writable."""
        return memoryview(self._map)

    def window(self, address: int, count: int) -> memoryview:
        """The RAM at guest-physical `address`, writable; shorter than `count` bytes where RAM ends before."""
        return self.view[address : address + count]

    def _check(self, address: int, count: int) -> None:
        if address < 0 or address + count > self.size:
            raise MemoryRange(f"guest-physical {address:#x}+{count:#x} lies outside the {self.size >> 20} MiB of RAM")

    def read(self, address: int, count: int) -> bytes:
        """`count` bytes at guest-physical `address`; MemoryRange beyond RAM."""
        self._check(address, count)
        return self._map[address : address + count]

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at guest-physical `address`; MemoryRange beyond RAM."""
        self._check(address, len(data))
        self._map[address : address + len(data)] = data

    def close(self) -> None:
        """Release the mapping and the descriptor; the object is of no use afterwards."""
        if self.fd >= 0:
            self._map.close()
            os.close(self.fd)
            self.fd = -1
