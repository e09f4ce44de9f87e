"""The ported ELF file.

A kernel: with its patches, and behind it the note that the monitor needs. Nothing that was in the file moves. Program
headers get one more, so their table is written anew at the end; whatever else tells of the file's layout (sections,
symbols, debug information, boot headers and their checksums) stays as it is.

A program: with its patches, and with its trampolines at the end of a segment, which so gets longer. What follows that
in the file moves back; all addresses stay.
"""

from __future__ import annotations

import struct

from hypercalls.binary_port import as_note
from porter.elf.port import Ported
from porter.errors import PortError

_PT_NOTE, _PF_R, _PF_X = 4, 4, 1
_P_OFFSET, _SH_OFFSET = 4, 16  # in a program header, in a section header
_E_PHOFF, _E_SHOFF, _E_PHENTSIZE, _E_PHNUM, _E_SHENTSIZE, _E_SHNUM = 28, 32, 42, 44, 46, 48
_PROGRAM_HEADER, _SECTION_HEADER = struct.Struct("<8I"), struct.Struct("<10I")
_SHT_PROGBITS, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_SECTION_NAME = b".ring3\0"
_ALIGNMENT = 16
_MOST_HEADERS = 0xFFFE


def elf_file(ported: Ported) -> bytes:
    """The content of the ported file. Raises PortError where it has no room for another program header."""
    content = _patched(ported)
    return _with_note(ported, content) if ported.room.segment is None else _with_longer_segment(ported, content)


def _patched(ported: Ported) -> bytearray:
    content = bytearray(ported.image.content)
    for patch in ported.port.patches:
        offset = _file_offset(ported, patch.address, len(patch.before))
        if content[offset : offset + len(patch.before)] != patch.before:
            raise PortError(f"{ported.image.path}: two segments share the bytes at {offset:#x} of the file")
        content[offset : offset + len(patch.after)] = patch.after
    return content


def _with_note(ported: Ported, content: bytearray) -> bytes:
    image = ported.image
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


def _with_longer_segment(ported: Ported, content: bytearray) -> bytes:
    number, code = ported.room.segment, ported.port.code
    if number is None or not code:
        return bytes(content)
    phoff, shoff = struct.unpack_from("<II", content, _E_PHOFF)
    phentsize, phnum, shentsize, shnum = struct.unpack_from("<4H", content, _E_PHENTSIZE)
    header = _PROGRAM_HEADER.unpack_from(content, phoff + number * phentsize)
    kind, offset, virtual, physical, file_size, _, flags, align = header
    end = offset + file_size
    more = ported.room.base + len(code) - virtual - file_size
    if not ported.room.fills:
        step = max(_ALIGNMENT, *(part["p_align"] for part in ported.image.elf.iter_segments("PT_LOAD")))
        moved = -(-more // step) * step
        content[end:end] = bytes(moved)
        phoff, shoff = (at + moved if at >= end else at for at in (phoff, shoff))
        struct.pack_into("<II", content, _E_PHOFF, phoff, shoff)
        for table, size, count, at in ((phoff, phentsize, phnum, _P_OFFSET), (shoff, shentsize, shnum, _SH_OFFSET)):
            for place in range(table + at, table + at + size * count, size):
                (where,) = struct.unpack_from("<I", content, place)
                if where >= end:
                    struct.pack_into("<I", content, place, where + moved)
    content[end + more - len(code) : end + more] = code
    longer = (kind, offset, virtual, physical, file_size + more, file_size + more, flags | _PF_X, align)
    _PROGRAM_HEADER.pack_into(content, phoff + number * phentsize, *longer)
    if shnum:
        _add_section(content, (ported.room.base, end + more - len(code), len(code)))
    return bytes(content)


def _add_section(content: bytearray, place: tuple[int, int, int]) -> None:
    """Add a section for the trampolines, for tools that know a file by its sections: their address, their offset in the
    file, and bytes. The table of sections and that of their names are written anew at the end."""
    (table,) = struct.unpack_from("<I", content, _E_SHOFF)
    size, count, names = struct.unpack_from("<3H", content, _E_SHENTSIZE)
    headers = bytearray(content[table : table + size * count])
    name, names_size = 0, 0
    if names < count:
        at, names_size = struct.unpack_from("<II", headers, names * size + _SH_OFFSET)
        text = content[at : at + names_size] + _SECTION_NAME
        struct.pack_into("<II", headers, names * size + _SH_OFFSET, len(content), len(text))
        name = names_size
        content += text
    _align(content)
    struct.pack_into("<I", content, _E_SHOFF, len(content))
    struct.pack_into("<H", content, _E_SHNUM, count + 1)
    extra = _SECTION_HEADER.pack(name, _SHT_PROGBITS, _SHF_ALLOC | _SHF_EXECINSTR, *place, 0, 0, _ALIGNMENT, 0)
    content += headers + extra.ljust(size, b"\0")


def _file_offset(ported: Ported, address: int, size: int) -> int:
    for segment in ported.image.segments:
        offset = address - segment.virtual
        if offset >= 0 and offset + size <= segment.file_size:
            return segment.offset + offset
    raise PortError(f"{ported.image.path}: its code at {address:#x} is in no segment; link it again")


def _align(content: bytearray) -> None:
    content += bytes(-len(content) % _ALIGNMENT)
