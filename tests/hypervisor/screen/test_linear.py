"""Linear framebuffers: pixels, the way through a control socket, and a guest that draws into one."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.control.answers import information
from hypervisor.control.request import Request
from hypervisor.devices.framebuffer import Framebuffer, linear_framebuffer
from hypervisor.display.frame import HALF_BLOCK, frame
from hypervisor.domain import Domain, DomainConfig
from hypervisor.errors import RingError
from hypervisor.memory_map import MIB
from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.pixels import render
from hypervisor.screen.png import png
from tests.hypervisor import guests
from tests.hypervisor.engine.guests import Recorder
from tests.hypervisor.loaders.elves import Part, elf, multiboot_header


@st.composite
def snapshots(draw: st.DrawFn) -> LinearSnapshot:
    """Any mode that a kernel may have asked for, small, with any content."""
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    shown = linear_framebuffer(MIB, width, height, draw(st.sampled_from([0, 8, 15, 16, 24, 32])))
    assert shown
    size = shown.pitch * shown.height
    return LinearSnapshot(shown, draw(st.binary(min_size=size, max_size=size)))


@given(snapshots())
def test_pixels(snapshot: LinearSnapshot) -> None:
    shown, pixels = snapshot.shown, render(snapshot)
    assert pixels.shape == (shown.height, shown.width, 3)
    size = (shown.depth + 7) // 8
    for row in range(shown.height):
        for column in range(shown.width):
            at = row * shown.pitch + column * size
            value = int.from_bytes(snapshot.data[at : at + size], "little")
            for component, (first, bits) in zip(pixels[row, column], shown.colours, strict=True):
                highest = (1 << bits) - 1
                assert abs(int(component) - (value >> first & highest) * 255 / highest) <= 0.5


@given(snapshots())
def test_packed_and_back(snapshot: LinearSnapshot) -> None:
    assert LinearSnapshot.unpacked(snapshot.packed()) == snapshot


@pytest.mark.parametrize("change", [{"pixels": "?"}, {"pixels": ""}, {"framebuffer": [0, 9999, 1, 4, 32]},
                                    {"colours": []}, {"framebuffer": None}])  # fmt: skip
def test_what_came_damaged_is_refused(change: dict[str, object]) -> None:
    snapshot = LinearSnapshot(Framebuffer(MIB, 1, 1, 4, 32, ((16, 8), (8, 8), (0, 8))), bytes(4))
    with pytest.raises(RingError, match="came damaged"):
        LinearSnapshot.unpacked(snapshot.packed() | change)


def test_a_guest_draws(tmp_path: Path, monitor: Path) -> None:
    """A kernel that asked for 640x480x32 fills its first line's second pixel: mov 88(%ebx),%edi; movl $...,4(%edi)."""
    code = bytes.fromhex("8b7b58 c74704") + struct.pack("<I", 0xFF8040) + guests.POWEROFF
    header = multiboot_header(4, 0, 0, 0, 0, 0, 0, 640, 480, 32)
    (tmp_path / "kernel").write_bytes(elf(Part(header + code, MIB), entry=MIB + len(header)))
    with Domain(DomainConfig(tmp_path / "kernel", memory=4 * MIB)) as domain:
        domain.build()
        before = domain.vga.fingerprint()
        domain.run(Recorder())
        assert domain.vga.fingerprint() != before and domain.vga.text() == ""
        pixels = render(domain.vga.snapshot())
        told = information(domain, Request("kernel", 0.0, {}, []))
        assert told["screen"] == "framebuffer, 640 x 480, 32 bits a pixel"
        cells = frame(domain.vga.snapshot(), 4, 3).rows
    assert pixels.shape == (480, 640, 3) and pixels[0, :3].tolist() == [[0, 0, 0], [0xFF, 0x80, 0x40], [0, 0, 0]]
    assert not pixels[1:].any() and png(pixels).startswith(b"\x89PNG")
    assert [len(row) for row in cells] == [4, 4, 4] and cells[0][0][0] == HALF_BLOCK
