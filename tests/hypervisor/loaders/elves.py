"""Small ELF files, made byte by byte, so that each can be wrong in one way."""

from __future__ import annotations

import struct
from dataclasses import dataclass

EHDR, PHDR = 52, 32
ET_REL, ET_EXEC = 1, 2
EM_386, EM_ARM = 3, 40
CODE = b"\x90" * 64


@dataclass(frozen=True)
class Part:
    """A PT_LOAD program header and its bytes; `memsz` None: as many as there are bytes."""

    data: bytes
    paddr: int
    vaddr: int | None = None
    memsz: int | None = None


def elf(*parts: Part, entry: int = 0x10_0000, machine: int = EM_386, kind: int = ET_EXEC) -> bytes:
    """An ELF32 file with these segments."""
    offset = EHDR + PHDR * len(parts)
    ident = b"\x7fELF\1\1\1".ljust(16, b"\0")
    fields = (kind, machine, 1, entry, EHDR, 0, 0, EHDR, PHDR, len(parts), 40, 0, 0)
    header = ident + struct.pack("<HHIIIIIHHHHHH", *fields)
    table, body = b"", b""
    for part in parts:
        vaddr = part.paddr if part.vaddr is None else part.vaddr
        memsz = len(part.data) if part.memsz is None else part.memsz
        table += struct.pack("<8I", 1, offset + len(body), vaddr, part.paddr, len(part.data), memsz, 7, 4)
        body += part.data
    return header + table + body


def multiboot_header(flags: int = 3, *address_fields: int) -> bytes:
    """A multiboot 1 header with a correct checksum."""
    magic = 0x1BADB002
    return struct.pack("<3I", magic, flags, -(magic + flags) & 0xFFFF_FFFF) + struct.pack(
        f"<{len(address_fields)}I", *address_fields
    )


def with_sections(image: bytes, sections: list[tuple[str, int, int, bytes]]) -> bytes:
    """An ELF file with sections (name, type, address, contents) added behind what it has; type 8 has no bytes in it."""
    names, headers, body = b"\0", bytes(40), bytearray(image)
    for name, kind, address, content in [*sections, ("names", 3, 0, b"")]:
        at = len(names)
        names += name.encode() + b"\0"
        content = names if name == "names" else content
        headers += struct.pack("<10I", at, kind, 2 if address else 0, address, len(body), len(content), 0, 0, 4, 0)
        if kind != 8:
            body += content
    struct.pack_into("<I", body, 32, len(body))
    struct.pack_into("<3H", body, 46, 40, len(sections) + 2, len(sections) + 1)
    return bytes(body) + headers
