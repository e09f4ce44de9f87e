"""The screen as pixels: text with the font of plane 2, 16 colours, 256 colours, 4 colours as on a CGA;
and linear framebuffers.

Every dot of the display is a pixel, so that a mode that shows each dot twice gives a picture of twice its
size. Source: IBM VGA/XGA Technical Reference, chapter 2. Panning by single dots is not done.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.snapshot import FONT_PLANE, GLYPH_BYTES, PLANE, VgaSnapshot
from hypervisor.screen.text import text_screen

Pixels = NDArray[np.uint8]  # rows, columns, red green blue
Snapshot = VgaSnapshot | LinearSnapshot

_HALF_CLOCK, _EIGHT_DOTS = 0x08, 0x01  # sequencer clocking mode
_SHIFT_256, _SHIFT_CGA = 0x40, 0x20  # graphics mode
_LINE_GRAPHICS = 0x04  # attribute mode: the ninth dot of box characters repeats the eighth
_BOXES = range(0xC0, 0xE0)
_FONT_STEP = (0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000)  # character map select


def render(snapshot: Snapshot) -> Pixels:
    """What the screen shows; cursor and blinking characters as they are while they are seen."""
    if isinstance(snapshot, LinearSnapshot):
        return _linear(snapshot)
    pixels = _text(snapshot) if snapshot.is_text else _graphics(snapshot)
    return pixels if snapshot.is_on else np.zeros_like(pixels)


def _linear(snapshot: LinearSnapshot) -> Pixels:
    shown = snapshot.shown
    size = -(-shown.depth // 8)
    lines = np.frombuffer(snapshot.data, np.uint8).reshape(shown.height, shown.pitch)
    parts = lines[:, : shown.width * size].reshape(shown.height, shown.width, size).astype(np.uint32)
    values = sum(parts[..., byte] << 8 * byte for byte in range(size))
    components = []
    for first, bits in shown.colours:
        highest = (1 << bits) - 1
        components.append(((values >> first & highest) * 255 + highest // 2) // highest)
    return np.stack(components, axis=-1).astype(np.uint8)


def _fonts(snapshot: VgaSnapshot) -> list[NDArray[np.uint8]]:
    """Shapes (256 characters of 32 lines) for attributes with bit 3 clear and set."""
    select = snapshot.registers.sequencer[3]
    maps = (select & 3 | select >> 2 & 4, select >> 2 & 3 | select >> 3 & 4)
    plane = np.frombuffer(snapshot.planes, np.uint8)[FONT_PLANE * PLANE : (FONT_PLANE + 1) * PLANE]
    return [plane[_FONT_STEP[number] :][: 256 * GLYPH_BYTES].reshape(256, GLYPH_BYTES) for number in maps]


def _text(snapshot: VgaSnapshot) -> Pixels:
    screen = text_screen(snapshot)
    shape = screen.rows, screen.columns
    characters = np.frombuffer(screen.characters, np.uint8).reshape(shape)
    attributes = np.frombuffer(screen.attributes, np.uint8).reshape(shape)
    low, high = _fonts(snapshot)
    bright = (attributes >> 3 & 1).astype(bool)[..., None]
    height = screen.cell_height
    lines = np.where(bright, high[characters], low[characters])[..., :height]
    dots = np.unpackbits(lines[..., None], axis=-1)  # rows, columns, lines, dots
    if not snapshot.registers.sequencer[1] & _EIGHT_DOTS:
        ninth = dots[..., 7:8].copy()
        boxes = (characters >= _BOXES.start) & (characters < _BOXES.stop)
        if not snapshot.registers.attributes[0x10] & _LINE_GRAPHICS:
            boxes[:] = False
        ninth[~boxes] = 0
        dots = np.concatenate((dots, ninth), axis=-1)
    if screen.cursor_is_shown:
        row, column = screen.cursor
        dots[row, column, screen.cursor_lines.start : screen.cursor_lines.stop] = 1
    palette = np.array(screen.palette, np.uint8)
    background = attributes >> 4 & (7 if screen.blinks else 15)
    colours = np.where(dots.astype(bool), (attributes & 15)[..., None, None], background[..., None, None])
    picture = colours.transpose(0, 2, 1, 3).reshape(screen.rows * height, -1)
    return _scaled(palette[picture], snapshot)


def _graphics(snapshot: VgaSnapshot) -> Pixels:
    registers = snapshot.registers
    repeat = snapshot.cell_height * snapshot.line_doubling
    mode = registers.graphics[5]
    planes = np.frombuffer(snapshot.planes, np.uint8).reshape(4, PLANE)
    rows = np.arange(snapshot.lines)
    lower = rows > snapshot.line_compare
    line = np.where(lower, rows - snapshot.line_compare - 1, rows)
    counter = np.where(lower, 0, snapshot.start) + line // repeat * snapshot.pitch
    at = _addresses(snapshot, counter[:, None] + np.arange(snapshot.columns)[None, :])
    at = _interleaved(at, line // snapshot.line_doubling % snapshot.cell_height, registers.crtc[0x17])
    data = planes[:, at]  # planes, lines, character clocks
    if mode & _SHIFT_256:
        palette = np.array([snapshot.colour(index) for index in range(256)], np.uint8)
        picture = data.transpose(1, 2, 0).reshape(snapshot.lines, -1).repeat(2, axis=1)
    else:
        palette = np.array(snapshot.palette(), np.uint8)
        picture = (_four_colours if mode & _SHIFT_CGA else _sixteen_colours)(data, registers.attributes[0x12])
    pixels: Pixels = palette[picture]
    return pixels.repeat(2, axis=1) if registers.sequencer[1] & _HALF_CLOCK and not mode & _SHIFT_256 else pixels


def _addresses(snapshot: VgaSnapshot, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """`snapshot.address` for many counts, each worked out once."""
    known, places = np.unique(counts, return_inverse=True)
    return np.array([snapshot.address(int(count)) for count in known])[places].reshape(counts.shape)


def _interleaved(at: NDArray[np.int64], scan: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Address bits 13 and 14 from the scan line within the row, as CGA and Hercules lay out their memory."""
    for bit, source in ((13, 0), (14, 1)):
        if not mode & 1 << source:
            at = at & ~(1 << bit) | (scan >> source & 1)[:, None] << bit
    return at


def _sixteen_colours(data: NDArray[np.uint8], enabled: int) -> NDArray[np.uint8]:
    """One bit of each plane makes a dot."""
    dots = np.unpackbits(data[..., None], axis=-1).reshape(4, data.shape[1], -1)
    picture: Pixels = (dots[0] | dots[1] << 1 | dots[2] << 2 | dots[3] << 3) & np.uint8(enabled & 15)
    return picture


def _four_colours(data: NDArray[np.uint8], enabled: int) -> NDArray[np.uint8]:
    """Two neighbouring bits make a dot: planes 0 and 2 the first four of a clock, 1 and 3 the others."""
    pairs = [np.stack([data[plane] >> shift & 3 for shift in (6, 4, 2, 0)], axis=-1) for plane in range(4)]
    dots = np.concatenate((pairs[0] | pairs[2] << 2, pairs[1] | pairs[3] << 2), axis=-1)
    picture: Pixels = dots.reshape(data.shape[1], -1) & np.uint8(enabled & 15)
    return picture


def _scaled(pixels: Pixels, snapshot: VgaSnapshot) -> Pixels:
    """Text whose dots or lines are shown twice."""
    if snapshot.registers.sequencer[1] & _HALF_CLOCK:
        pixels = pixels.repeat(2, axis=1)
    return pixels.repeat(snapshot.line_doubling, axis=0)
