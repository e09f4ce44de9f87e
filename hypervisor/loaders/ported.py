"""Kernels that were ported as binaries: the note in their file (hypercalls/binary_port.py), and where it goes."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from hypercalls import layout
from hypercalls.binary_port import NOTE_OWNER, NOTE_TYPE, BinaryPort, PortFormatError, unpack
from hypervisor.errors import RingError
from hypervisor.state import StateFile

_NOTE_HEAD = struct.Struct("<III")
_LARGEST_NOTE = 128 << 20  # bytes


def read_port(path: Path) -> BinaryPort | None:
    """What a port has left in an ELF file; None for other files. RingError where it is damaged."""
    try:
        with path.open("rb") as file:
            notes = [(part["p_offset"], part["p_filesz"]) for part in ELFFile(file).iter_segments("PT_NOTE")]
            for offset, size in notes:
                file.seek(offset)
                note = file.read(min(size, _LARGEST_NOTE))
                if len(note) < _NOTE_HEAD.size:
                    continue
                owner_size, length, kind = _NOTE_HEAD.unpack_from(note)
                start = _NOTE_HEAD.size + -(-owner_size // 4) * 4
                if kind == NOTE_TYPE and note[_NOTE_HEAD.size :][: len(NOTE_OWNER)] == NOTE_OWNER:
                    return unpack(note[start : start + length])
    except (OSError, ELFError, ConstructError, ValueError):
        return None  # no ELF file: others say what is wrong with it
    except PortFormatError as error:
        raise RingError(f"kernel {path}: {error}; port it again") from None
    return None


def put_trampolines(state: StateFile, port: BinaryPort) -> None:
    """Put the trampolines and their tables into the state file."""
    inside = port.inside()
    for offset, limit, pairs in (
        (layout.PLACES_OFFSET, layout.PLACES_SIZE, port.places),
        (layout.INSIDE_OFFSET, layout.INSIDE_SIZE, [(address, _address(place)) for address, place in inside]),
    ):
        table = b"".join(struct.pack("<II", *pair) for pair in pairs)
        if len(table) > limit:
            raise RingError("the kernel's port has more instructions than there is room for; port it again")
        state.window(offset, limit)[: len(table)] = table
    state.window(layout.TRAMPOLINES_FILE_OFFSET, layout.TRAMPOLINES_SIZE)[: len(port.code)] = port.code
    state.control.places, state.control.inside = len(port.places), len(inside)


def _address(offset: int) -> int:
    return layout.HOLE + layout.TRAMPOLINES_OFFSET + offset
