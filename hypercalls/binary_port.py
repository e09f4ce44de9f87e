"""What a ported binary says to the monitor: a note in the ELF file, or the same handed over in memory.

The note (PT_NOTE, owner "ring3", type `NOTE_TYPE`) holds the trampolines, code that is mapped at
`layout.TRAMPOLINES_OFFSET` of the hole; for each of their instructions the address of the original; and what was
changed in the file, as it was and as it is. Addresses are those that the kernel is linked at.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from hypercalls import layout

NOTE_OWNER, NOTE_TYPE = b"ring3\0", 0x726F7033  # "3por"
VERSION = 2
_JUMP32 = 0xE9
HLT = b"\xf4"  # put over the first byte of an instruction, it makes it trap
_NOTE_HEAD = struct.Struct("<III")  # bytes of the owner, bytes of the description, type (System V ABI, note section)
_HEAD = struct.Struct("<7I")  # version, bytes of code, places, patches, cells, length of the packed rest, its CRC-32
_CELL = struct.Struct("<I")
_PAIR = struct.Struct("<II")
_PATCH = struct.Struct("<II")  # address, bytes; these behind it, thrice


class PortFormatError(Exception):
    """A note that makes no sense; the message says why."""


@dataclass(frozen=True)
class Patch:
    """Bytes of the kernel that were changed, as many before as after.

    `trapping`: as before, but for HLT over the first bytes of instructions that would run silently wrong.
    """

    address: int
    before: bytes
    after: bytes
    trapping: bytes

    @property
    def traps(self) -> bool:
        """Whether it makes one instruction trap, and changes nothing else."""
        return self.after == HLT

    def leads_to(self, address: int, offset: int) -> bool:
        """Whether who comes to `address` gets to `offset` of the trampolines; there may be the way to another place."""
        if self.address != address:
            return False
        if self.after[0] != _JUMP32:
            return True  # by a pointer, or by an island
        target = address + 5 + int.from_bytes(self.after[1:5], "little")
        return target & 0xFFFF_FFFF == layout.HOLE + layout.TRAMPOLINES_OFFSET + offset

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + len(self.before)


@dataclass(frozen=True)
class BinaryPort:
    """A ported binary's part that is not in its segments.

    `code`: the trampolines; `places`: (offset in them, address of the original instruction) by rising offset, also of
    the jump at each end, which stands for what follows; `patches` by rising address; `cells`: offsets of pointers in
    the trampolines by which patches lead there that run at their load address, before paging, and at their link
    address, with it: of two trampolines, to the one that comes back to where it came from.
    """

    code: bytes
    places: tuple[tuple[int, int], ...]
    patches: tuple[Patch, ...]
    cells: tuple[int, ...] = ()

    def inside(self) -> list[tuple[int, int]]:
        """(original address, offset in the trampolines) of the instructions whose first byte is no more, by rising
        address."""
        found, patches = [], iter(self.patches)
        patch = next(patches, None)
        for offset, address in sorted(self.places, key=lambda place: place[1]):
            while patch and patch.end <= address:
                patch = next(patches, None)
            if patch and patch.address <= address and not patch.traps and not patch.leads_to(address, offset):
                found.append((address, offset))
        return found

    def pack(self) -> bytes:
        """The description of the note."""
        rest = b"".join(
            [self.code, *(_PAIR.pack(*place) for place in self.places),
             *(_PATCH.pack(one.address, len(one.before)) + one.before + one.after + one.trapping
               for one in self.patches), *(_CELL.pack(at) for at in self.cells)]
        )  # fmt: skip
        packed = zlib.compress(rest)
        return _HEAD.pack(VERSION, len(self.code), len(self.places), len(self.patches), len(self.cells), len(packed),
                          zlib.crc32(packed)) + packed


def as_note(port: BinaryPort) -> bytes:
    """The content of a PT_NOTE segment."""
    description = port.pack()
    head = _NOTE_HEAD.pack(len(NOTE_OWNER), len(description), NOTE_TYPE)
    return head + _padded(NOTE_OWNER) + _padded(description)


def from_note(note: bytes) -> BinaryPort | None:
    """The port that the content of a PT_NOTE segment holds; None for other notes. Raises PortFormatError."""
    start = _NOTE_HEAD.size + len(_padded(NOTE_OWNER))
    if len(note) < start:
        return None
    owner_size, size, kind = _NOTE_HEAD.unpack_from(note)
    if (owner_size, kind) != (len(NOTE_OWNER), NOTE_TYPE) or not note[_NOTE_HEAD.size :].startswith(NOTE_OWNER):
        return None
    return unpack(note[start : start + size])


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")


def unpack(note: bytes) -> BinaryPort:
    """The inverse of `BinaryPort.pack`. Raises PortFormatError."""
    if len(note) < _HEAD.size:
        raise PortFormatError("the note of its port is cut short")
    version, code_size, place_count, patch_count, cell_count, size, check = _HEAD.unpack_from(note)
    if version != VERSION:
        raise PortFormatError(f"it was ported by another ring3 (version {version} of the note, not {VERSION})")
    packed = note[_HEAD.size : _HEAD.size + size]
    if len(packed) != size or zlib.crc32(packed) != check or code_size > layout.TRAMPOLINES_SIZE:
        raise PortFormatError("the note of its port is damaged")
    try:
        rest = zlib.decompressobj().decompress(packed, layout.TRAMPOLINES_SIZE + 2 * layout.PLACES_SIZE + (64 << 20))
        code, at = rest[:code_size], code_size + 8 * place_count
        places = tuple(_PAIR.iter_unpack(rest[code_size:at]))
        patches = []
        for _ in range(patch_count):
            address, length = _PATCH.unpack_from(rest, at)
            at += _PATCH.size
            before, after, trapping = (rest[at + part * length : at + (part + 1) * length] for part in range(3))
            if len(trapping) != length or not length:
                raise PortFormatError("the note of its port is damaged")
            patches.append(Patch(address, before, after, trapping))
            at += 3 * length
        cells = tuple(cell for (cell,) in _CELL.iter_unpack(rest[at : at + 4 * cell_count]))
        if len(cells) != cell_count or any(cell + layout.CELL_SIZE > code_size for cell in cells):
            raise PortFormatError("the note of its port is damaged")
    except (struct.error, zlib.error):
        raise PortFormatError("the note of its port is damaged") from None
    return BinaryPort(code, places, tuple(patches), cells)
