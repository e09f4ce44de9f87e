"""Who occupies which part of RAM at boot."""

from __future__ import annotations

from hypervisor.errors import RingError
from hypervisor.memory_map import BASE_END, EBDA, HIGH, describe

BIOS_DATA_END = 0x500  # interrupt vectors and BIOS data area


class Placement:
    """RAM of `size` bytes, of which parts are claimed by name; no two claims overlap."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._claims: list[tuple[int, int, str]] = [
            (0, BIOS_DATA_END, "the BIOS data area"),
            (EBDA, BASE_END, "the extended BIOS data area"),
            (BASE_END, HIGH, "video memory and BIOS"),
        ]

    def claim(self, name: str, start: int, length: int) -> None:
        """Take `length` bytes at `start`. Raises RingError where that is not free RAM."""
        end = start + length
        span = f"{name} ({start:#x}-{end - 1:#x})"
        for low, high, owner in self._claims:
            if start < high and low < end:
                raise RingError(
                    f"{span} overlaps {owner} ({low:#x}-{high - 1:#x}); link the kernel elsewhere "
                    "(-Wl,-n keeps the file header out of the first segment)"
                )
        if end > self.size:
            raise RingError(f"{span} does not fit into {describe(self.size)} of memory; give more with --memory")
        self._claims.append((start, end, name))

    def find(self, name: str, length: int, *, align: int = 16, low: bool) -> int:
        """Take `length` free bytes for `name` and return their address.

        `low`: the highest place below the EBDA if there is one, else the lowest place above 1 MiB.
        Raises RingError where RAM is full.
        """
        claims = sorted(self._claims)
        if low:
            top = EBDA
            for start, end, _ in reversed(claims):
                if start >= EBDA:
                    continue
                at = (top - length) & -align
                if at >= end:
                    self.claim(name, at, length)
                    return at
                top = min(top, start)
        at = HIGH
        for start, end, _ in claims:
            if end <= at:
                continue
            if at + length <= start:
                break
            at = (end + align - 1) & -align
        if at + length > self.size:
            raise RingError(f"no room for {name} ({describe(length)}) in memory; give more with --memory")
        self.claim(name, at, length)
        return at
