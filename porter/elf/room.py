"""Where trampolines go: a kernel's into ring3's part of the address space, those of a program that runs in ring 3 into
its own file, for its segments end below that.

A program's code gets longer at its end, where a page is filled up with zeros; or its last segment does, whose
uninitialised data then stands in the file as zeros. No other segment is needed, which is what most loaders of small
kernels would stumble over, and nothing that has an address moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hypercalls import layout
from porter.binary.image import Image

_PAGE = 4096
_ALIGNMENT = 16
_LARGEST = 1 << 20  # bytes of a program's trampolines
_MOST_ZEROS = 16 << 20  # bytes of uninitialised data that are written out
_END_ALIGNMENTS = (1, 4, 8, 16, 32)  # of what linkers call the end of a program


@dataclass(frozen=True)
class Room:
    """`size` bytes from the link address `base` on, and how many `places` may be noted.

    `segment`: number of the program header whose segment gets longer; None for kernels. `fills`: there are zeros for it
    in the file, else what follows moves back.
    """

    base: int
    size: int
    places: int
    segment: int | None = None
    fills: bool = False


NONE = Room(0, 0, 0, segment=0)
"""For programs with nothing to port."""
KERNEL = Room(layout.HOLE + layout.TRAMPOLINES_OFFSET, layout.TRAMPOLINES_SIZE, layout.PLACES_SIZE // 8)


def rooms(image: Image) -> Iterator[Room]:
    """Where a program has room for trampolines; the best first."""
    headers = [(number, part.header) for number, part in enumerate(image.elf.iter_segments())
               if part["p_type"] == "PT_LOAD" and part["p_memsz"]]  # fmt: skip
    for number, header in headers:
        end = header["p_vaddr"] + header["p_filesz"]
        if header["p_flags"] & 1 and header["p_filesz"] == header["p_memsz"]:
            base, limit = _aligned(end), -(-end // _PAGE) * _PAGE
            limit = min([limit, *(other["p_vaddr"] for _, other in headers if other["p_vaddr"] >= end)])
            filled = limit - end
            offset = header["p_offset"] + header["p_filesz"]
            if base < limit and image.content[offset : offset + filled] == bytes(filled) and not _used(
                    image, offset, offset + filled):
                yield Room(base, limit - base, _LARGEST, number, fills=True)
    number, last = max(headers, key=lambda one: int(one[1]["p_vaddr"] + one[1]["p_memsz"]))
    end = last["p_vaddr"] + last["p_memsz"]
    written = last["p_memsz"] - last["p_filesz"] <= _MOST_ZEROS
    if written and end + _LARGEST < layout.HOLE and not _names_end(image, end):
        yield Room(_aligned(end), _LARGEST, _LARGEST, number)


def _aligned(address: int) -> int:
    return -(-address // _ALIGNMENT) * _ALIGNMENT


def _used(image: Image, start: int, end: int) -> bool:
    """Whether a header, section or segment has any of these bytes of the file."""
    elf = image.elf
    ranges = [(s["sh_offset"], s["sh_size"]) for s in elf.iter_sections()
              if s["sh_type"] not in ("SHT_NOBITS", "SHT_NULL")]  # fmt: skip
    ranges += [(s["p_offset"], s["p_filesz"]) for s in elf.iter_segments()]
    ranges += [(elf[f"e_{kind}off"], elf[f"e_{kind}num"] * elf[f"e_{kind}entsize"]) for kind in ("ph", "sh")]
    return any(first < end and start < first + size for first, size in ranges if size)


def _names_end(image: Image, end: int) -> bool:
    """Whether the program has the address of its end: there it would put its heap, over the trampolines."""
    wanted = [-(-end // alignment) * alignment for alignment in _END_ALIGNMENTS] + [end + _PAGE - 1]
    return any(np.isin(region.words(first), wanted).any() for region in image.regions for first in range(4))
