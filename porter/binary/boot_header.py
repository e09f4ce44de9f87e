"""Boot headers, which lie among the code because they must come first in the file."""

from __future__ import annotations

import struct

from porter.binary.image import Image

# Multiboot specification 0.6.96, 3.1; Multiboot2 specification 2.0, 3.1
_MAGIC, _SEARCH, _HAS_ADDRESSES, _HAS_VIDEO = 0x1BADB002, 8192, 1 << 16, 1 << 2
_MAGIC2, _SEARCH2 = 0xE85250D6, 32768


def find_boot_headers(image: Image) -> list[tuple[int, int]]:
    """Start and end of the Multiboot headers in executable regions."""
    found = []
    for region in image.code:
        for magic, limit in ((_MAGIC, _SEARCH), (_MAGIC2, _SEARCH2)):
            at = region.data.find(struct.pack("<I", magic))
            if at >= 0 and region.file_offset + at < limit:
                size = _size(region.data, at, magic)
                if size:
                    found.append((region.base + at, region.base + at + size))
    return found


def _size(data: bytes, at: int, magic: int) -> int:
    """Bytes of the header at `at`; 0 if its checksum says that it is none."""
    words = [int.from_bytes(data[place : place + 4], "little") for place in range(at, at + 16, 4)]
    if magic == _MAGIC:
        flags = words[1]
        size = 48 if flags & _HAS_VIDEO else 32 if flags & _HAS_ADDRESSES else 12
        return size if sum(words[:3]) & 0xFFFF_FFFF == 0 else 0
    return words[2] if sum(words) & 0xFFFF_FFFF == 0 else 0
