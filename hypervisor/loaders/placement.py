"""Who occupies which part of RAM at boot."""

from __future__ import annotations

from pathlib import Path

from hypervisor.errors import RingError
from hypervisor.loaders.elf import Image
from hypervisor.memory_map import BASE_END, EBDA, HIGH, MAX_MEMORY, describe

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
        if start >= MAX_MEMORY:
            raise RingError(
                f"{span} lies where a PC has no memory; give the kernel's segments physical addresses below "
                "(AT() in its linker script)"
            )
        if end > self.size:
            raise RingError(f"{span} does not fit into {describe(self.size)} of memory; give more with --memory")
        self._claims.append((start, end, name))

    def claim_image(self, kernel: Path, image: Image) -> None:
        """Take what the segments of `image` take. Raises RingError as `claim`."""
        for number, segment in enumerate(image.segments):
            self.claim(f"{kernel}: segment {number}", segment.address, segment.size)

    def is_free(self, start: int, length: int) -> bool:
        """Whether [`start`, `start` + `length`) is RAM that nobody has taken."""
        end = start + length
        return end <= self.size and not any(start < high and low < end for low, high, _ in self._claims)

    def find_between(self, name: str, length: int, *, first: int, last: int, align: int, highest: bool) -> int:
        """Take `length` free bytes that lie within [`first`, `last`), the lowest or the highest such place.

        Raises RingError where there is none.
        """
        last = min(last, self.size)
        if highest:
            places = [last - length, *(low - length for low, _, _ in self._claims)]
            places = sorted((at - at % align for at in places), reverse=True)
        else:
            places = sorted(-(-at // align) * align for at in (first, *(high for _, high, _ in self._claims)))
        for at in places:
            if first <= at <= last - length and self.is_free(at, length):
                self.claim(name, at, length)
                return at
        raise RingError(
            f"no room for {name} ({describe(length)}) between {first:#x} and {last:#x}; give more with --memory"
        )

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
