"""Kernels that were ported as binaries: the note in their file (hypercalls/binary_port.py), and where it goes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from hypercalls import layout
from hypercalls.binary_port import BinaryPort, Patch, PortFormatError, from_note
from hypervisor.errors import RingError
from hypervisor.state import StateFile

_LARGEST_NOTE = 128 << 20  # bytes


def read_port(path: Path) -> BinaryPort | None:
    """What a port has left in an ELF file; None for other files. RingError where it is damaged."""
    try:
        with path.open("rb") as file:
            notes = [(part["p_offset"], part["p_filesz"]) for part in ELFFile(file).iter_segments("PT_NOTE")]
            for offset, size in notes:
                file.seek(offset)
                port = from_note(file.read(min(size, _LARGEST_NOTE)))
                if port:
                    return port
    except (OSError, ELFError, ConstructError, ValueError):
        return None  # no ELF file: others say what is wrong with it
    except PortFormatError as error:
        raise RingError(f"kernel {path}: {error}; port it again") from None
    return None


def put_port(state: StateFile, port: BinaryPort, physical: Callable[[int], int]) -> None:
    """Put trampolines, tables and patches into the state file. `physical`: where an address of the kernel is loaded."""
    inside = port.inside()
    patches = b"".join(_packed(physical(one.address), one) for one in port.patches if not one.traps)
    for offset, limit, table in (
        (layout.PLACES_OFFSET, layout.PLACES_SIZE, _pairs(port.places)),
        (layout.INSIDE_OFFSET, layout.INSIDE_SIZE, _pairs((at, _address(place)) for at, place in inside)),
        (layout.CELLS_OFFSET, layout.CELLS_SIZE, struct.pack(f"<{len(port.cells)}I", *port.cells)),
        (layout.PATCHES_OFFSET, layout.PATCHES_SIZE, patches),
        (layout.TRAMPOLINES_FILE_OFFSET, layout.TRAMPOLINES_SIZE, port.code),
    ):
        if len(table) > limit:
            raise RingError("the kernel's port has more instructions than there is room for; port it again")
        state.window(offset, limit)[: len(table)] = table
    state.control.places, state.control.inside = len(port.places), len(inside)
    state.control.patches_size, state.control.cells = len(patches), len(port.cells)


def _packed(physical: int, patch: Patch) -> bytes:
    both = patch.trapping + patch.after
    return struct.pack("<II", physical, len(patch.after)) + both + bytes(-len(both) % 4)


def _pairs(pairs: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack("<II", *pair) for pair in pairs)


def _address(offset: int) -> int:
    return layout.HOLE + layout.TRAMPOLINES_OFFSET + offset
