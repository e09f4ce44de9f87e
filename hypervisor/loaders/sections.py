"""Section headers of an ELF kernel, for kernels that look up their own symbols.

Sections that are not part of the loaded image (symbols, their names, debugging information) are put into RAM, and
their headers say where, as GRUB does it. Source: Multiboot Specification 0.6.96, section 3.3 (`syms`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hypervisor.errors import RingError
from hypervisor.loaders.placement import Placement

HEADER_SIZE = 40  # of an ELF32 section header
_TABLE_AT, _COUNTS_AT = 32, 46  # e_shoff; e_shentsize, e_shnum, e_shstrndx
_ADDRESS_AT = 12  # sh_addr in a section header
_NULL, _NOBITS = 0, 8
_ALIGN = 16


@dataclass(frozen=True)
class Sections:
    """`count` headers in `table`, of which `names` is the section of their names; what goes where in RAM."""

    count: int
    names: int
    table: bytes
    parts: tuple[tuple[int, bytes], ...]


def place_sections(data: bytes, placement: Placement) -> Sections | None:
    """Place the sections of the ELF file `data` that nobody loads; None where it has none, or no room for them."""
    (at,), (size, count, names) = struct.unpack_from("<I", data, _TABLE_AT), struct.unpack_from("<3H", data, _COUNTS_AT)
    if not count or size != HEADER_SIZE or at + count * size > len(data):
        return None
    table = bytearray(data[at : at + count * size])
    wanted: list[tuple[int, bytes]] = []  # section's place in the table, contents
    for header_at in range(0, len(table), size):
        _, kind, _, address, offset, length = struct.unpack_from("<6I", table, header_at)
        if kind in (_NULL, _NOBITS) or address or not length:
            continue
        if offset + length > len(data):
            return None
        wanted.append((header_at, data[offset : offset + length]))
    room = sum(len(content) + _ALIGN for _, content in wanted)
    try:
        place = placement.find("the kernel's symbols", room, low=False) if wanted else 0
    except RingError:
        return None
    parts = []
    for header_at, content in wanted:
        struct.pack_into("<I", table, header_at + _ADDRESS_AT, place)
        parts.append((place, content))
        place = (place + len(content) + _ALIGN - 1) & -_ALIGN
    return Sections(count, names, bytes(table), tuple(parts))
