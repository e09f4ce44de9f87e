"""The ported ELF file: the kernel with its patches, and behind it the note that the monitor needs.

Nothing that was in the file moves. Program headers get one more, so their table is written anew at the end; whatever
else tells of the file's layout (sections, symbols, debug information, boot headers and their checksums) stays as it is.
"""

from __future__ import annotations

import struct

from hypercalls.binary_port import as_note
from porter.elf.port import Ported
from porter.errors import PortError

_PT_NOTE, _PF_R = 4, 4
_E_PHOFF, _E_PHENTSIZE, _E_PHNUM = 28, 42, 44
_PROGRAM_HEADER = struct.Struct("<8I")
_ALIGNMENT = 16
_MOST_HEADERS = 0xFFFE


def elf_file(ported: Ported) -> bytes:
    """The content of the ported file. Raises PortError where it has no room for another program header."""
    image = ported.image
    content = bytearray(image.content)
    for patch in ported.port.patches:
        offset = _file_offset(ported, patch.address, len(patch.before))
        if content[offset : offset + len(patch.before)] != patch.before:
            raise PortError(f"{image.path}: two segments share the bytes at {offset:#x} of the file")
        content[offset : offset + len(patch.after)] = patch.after
    (phoff,) = struct.unpack_from("<I", content, _E_PHOFF)
    entry_size, count = struct.unpack_from("<HH", content, _E_PHENTSIZE)
    if count >= _MOST_HEADERS:
        raise PortError(f"{image.path}: no room for one more program header beside {count}")
    headers = bytes(content[phoff : phoff + entry_size * count])
    _align(content)
    note_at, note = len(content), as_note(ported.port)
    content += note
    _align(content)
    struct.pack_into("<I", content, _E_PHOFF, len(content))
    struct.pack_into("<H", content, _E_PHNUM, count + 1)
    extra = _PROGRAM_HEADER.pack(_PT_NOTE, note_at, 0, 0, len(note), 0, _PF_R, 4)
    content += headers + extra.ljust(entry_size, b"\0")
    return bytes(content)


def _file_offset(ported: Ported, address: int, size: int) -> int:
    for segment in ported.image.segments:
        offset = address - segment.virtual
        if offset >= 0 and offset + size <= segment.file_size:
            return segment.offset + offset
    raise PortError(f"{ported.image.path}: its code at {address:#x} is in no segment; link it again")


def _align(content: bytearray) -> None:
    content += bytes(-len(content) % _ALIGNMENT)
