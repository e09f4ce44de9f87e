"""The note of a ported binary: what was packed is unpacked, and nothing else is."""

from __future__ import annotations

import pytest

from hypercalls import layout
from hypercalls.binary_port import HLT, BinaryPort, Patch, PortFormatError, unpack

BASE = layout.HOLE + layout.TRAMPOLINES_OFFSET


def jump(address: int, offset: int) -> bytes:
    """A jump at `address` to `offset` of the trampolines."""
    return b"\xe9" + (BASE + offset - address - 5 & 0xFFFF_FFFF).to_bytes(4, "little")


PORT = BinaryPort(
    bytes(range(64)),
    ((0, 0x1000), (8, 0x1001), (12, 0x1003), (20, 0x1007), (40, 0x2000), (44, 0x2005)),
    (
        Patch(0x1000, b"\xfa\x89\xd8\x31\xc0\x40\x90", jump(0x1000, 0) + b"\x40\x90", b"\xfa\x89\xd8\x31\xc0\x40\x90"),
        Patch(0x1800, b"\x9c", HLT, HLT),
        Patch(0x2000, bytes(5), jump(0x2000, 40), bytes(5)),
        Patch(0x2005, bytes(5), jump(0x2005, 0), bytes(5)),  # an island: there is no way to what stood there
    ),
)


def test_what_was_packed_is_unpacked() -> None:
    assert unpack(PORT.pack()) == PORT


def test_instructions_whose_bytes_are_no_more() -> None:
    """Not the first of a jump, nor what is behind a patch; but what an island was put over."""
    assert PORT.inside() == [(0x1001, 8), (0x1003, 12), (0x2005, 44)]


def test_damage_is_found() -> None:
    note = PORT.pack()
    for size in (0, 10, 23, len(note) - 1):
        with pytest.raises(PortFormatError):
            unpack(note[:size])
    for at in range(len(note)):
        with pytest.raises(PortFormatError):
            damaged = bytearray(note)
            damaged[at] ^= 0x55
            if unpack(bytes(damaged)) != PORT:
                raise AssertionError(f"byte {at} may be anything")
            raise PortFormatError("the same after all")
