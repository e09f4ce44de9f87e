"""The text screen, its cursor and colours; the font; PNG files."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from hypercalls.structs import VgaPlain
from hypervisor.devices.vga import Vga
from hypervisor.screen.font import font
from hypervisor.screen.pixels import render
from hypervisor.screen.png import SIGNATURE, png
from hypervisor.screen.snapshot import VgaSnapshot
from hypervisor.screen.text import CHARACTERS, screen_text, text_screen
from tests.hypervisor.devices.machine import Machine


@pytest.fixture
def vga() -> Vga:
    device = Vga()
    Machine(device)
    return device


def test_the_screen_at_power_on_is_blank_with_a_cursor(vga: Vga) -> None:
    screen = text_screen(vga.snapshot())
    assert (screen.columns, screen.rows, screen.cell_height) == (80, 25, 16)
    assert vga.text() == "" and set(screen.attributes) == {7}
    assert screen.cursor == (0, 0) and screen.cursor_lines == range(13, 15)
    assert screen.palette[:8] == [(0, 0, 0), (0, 0, 170), (0, 170, 0), (0, 170, 170), (170, 0, 0), (170, 0, 170),
                                  (170, 85, 0), (170, 170, 170)]  # fmt: skip


def test_text_start_address_and_cursor(vga: Vga) -> None:
    vga._memory.write(0xB8000, b"H\7i\7" + b"\0\7" * 78 + b"y\7o\7\x80\x1e")
    assert vga.text() == "Hi\nyo\u00c7"
    crtc = vga._state.crtc
    crtc[13], crtc[15] = 80, 80 * 3 + 5
    assert vga.text() == "yo\u00c7"
    screen = text_screen(vga.snapshot())
    assert screen.cursor == (2, 5) and screen.cursor_is_shown
    assert screen.colours(screen.attributes[2]) == (14, 1)
    crtc[10] |= 0x20
    assert not text_screen(vga.snapshot()).cursor_is_shown


def test_graphics_modes_have_no_text(vga: Vga) -> None:
    vga._state.graphics[6] |= 1
    assert screen_text(vga.snapshot()) == ""


def test_a_split_screen_goes_on_at_address_0(vga: Vga) -> None:
    vga._memory.write(0xB8000, b"0\7")
    vga._memory.write(0xB8000 + 80 * 2, b"1\7")
    vga._state.crtc[13] = 80
    vga._state.crtc[0x18], vga._state.crtc[7], vga._state.crtc[9] = 31, 0x0F, 0x0F
    assert vga.text() == "1\n\n0\n1"


def test_a_snapshot_survives_its_way_through_json(vga: Vga) -> None:
    vga._memory.write(0xB8000, b"x\7")
    taken = vga.snapshot()
    again = VgaSnapshot.unpacked(taken.packed())
    assert again.planes == taken.planes and bytes(again.registers) == bytes(taken.registers)


def test_what_a_guest_claims_of_its_window_is_not_believed(vga: Vga) -> None:
    vga._state.window, vga._state.window_size, vga._state.plain = 0xFFFF_0000, 0xFFFF_FFFF, VgaPlain.CHAIN4
    vga.snapshot()
    vga._state.plain = 200
    for index in range(32):
        vga._state.crtc[index] = 0xFF
    assert render(vga.snapshot()).ndim == 3


def test_a_screen_that_is_off_is_black(vga: Vga) -> None:
    vga._memory.write(0xB8000, b"\xdb\x0f")
    assert render(vga.snapshot()).any()
    vga._state.attribute_index = 0
    assert not render(vga.snapshot()).any()


def test_every_character_has_a_shape_of_its_own() -> None:
    shapes = dict(zip(CHARACTERS, font(), strict=True))
    printable = [shapes[chr(code)] for code in range(0x20, 0x7F)]
    assert len(set(printable)) == len(printable)
    boxes = [shapes[bytes([code]).decode("cp437")] for code in range(0xB0, 0xE0)]
    assert len(set(boxes)) == len(boxes)
    assert all(len(shape) == 16 for shape in font())


def test_png() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = png(pixels)
    assert data.startswith(SIGNATURE)
    at, chunks = len(SIGNATURE), {}
    while at < len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, 8, 2, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == b"\0" + bytes(range(9)) + b"\0" + bytes(range(9, 18))
