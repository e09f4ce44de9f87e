"""Images in other formats than ELF: the fields of a multiboot header that say what to load where.

Source: Multiboot Specification 0.6.96, section 3.1.3, and Multiboot2 Specification 2.0, section 3.1.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypervisor.errors import RingError
from hypervisor.loaders.elf import Image, Segment

FROM_THE_BEGINNING = 0xFFFF_FFFF  # load_addr: the file is loaded from its first byte on (multiboot 2)


@dataclass(frozen=True)
class AddressFields:
    """Physical addresses; an end of 0 stands for the end of the file, or for no BSS."""

    header_addr: int
    load_addr: int
    load_end_addr: int
    bss_end_addr: int


def image(path: Path, data: bytes, offset: int, fields: AddressFields, entry: int) -> Image:
    """The image of the file `data` whose header is at `offset`.

    Raises RingError where the fields contradict each other or the file.
    """
    load = fields.load_addr
    if load == FROM_THE_BEGINNING:
        load = fields.header_addr - offset
    skipped = fields.header_addr - load
    start = offset - skipped
    end = start + fields.load_end_addr - load if fields.load_end_addr else len(data)
    filled = end - start
    size = max(fields.bss_end_addr - load, filled) if fields.bss_end_addr else filled
    if load < 0 or skipped < 0 or start < 0 or filled <= 0 or end > len(data):
        raise RingError(f"{path}: the address fields of its multiboot header do not fit the file; link it again")
    if not load <= entry < load + size:
        raise RingError(f"{path} has no entry: {entry:#x} lies outside the image; mend the header")
    return Image((Segment(load, load, data[start:end], size),), entry)
