"""A guest's screen as the cells of a terminal: text as it is, graphics by half blocks of two colours."""

from __future__ import annotations

from dataclasses import dataclass

from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.snapshot import RGB, VgaSnapshot
from hypervisor.screen.text import TextScreen, text_screen

HALF_BLOCK = "\u2580"  # upper half in the foreground's colour
Style = tuple[RGB, RGB, bool]  # foreground, background, blinking
Cell = tuple[str, Style]

_BLACK: RGB = (0, 0, 0)
_BLINK = 0x80
PLAIN: Style = ((170, 170, 170), _BLACK, False)
MESSAGE: Style = ((255, 255, 255), (0, 0, 170), False)


@dataclass
class Frame:
    """Rows of cells, and where the cursor is (row, column) and how high, in parts of the cell; None: hidden."""

    rows: list[list[Cell]]
    cursor: tuple[int, int] | None = None
    cursor_part: float = 0.0

    def fitted(self, columns: int, lines: int) -> Frame:
        """What of the frame fits on a terminal; where it has fewer lines, those around the cursor."""
        last = min(len(self.rows), max(lines, self.cursor[0] + 1)) if self.cursor else min(len(self.rows), lines)
        first = max(last - lines, 0)
        rows = [row[:columns] for row in self.rows[first:last]]
        cursor = None
        if self.cursor and self.cursor[1] < columns:
            cursor = self.cursor[0] - first, self.cursor[1]
        return Frame(rows, cursor, self.cursor_part)

    def with_message(self, lines: list[str]) -> Frame:
        """The frame with a message over its upper part."""
        width = max(map(len, lines)) + 2
        rows = [list(row) for row in self.rows]
        rows += [[] for _ in range(len(lines) - len(rows))]
        for row, line in zip(rows, lines, strict=False):
            row[:width] = [(character, MESSAGE) for character in f" {line}".ljust(width)]
        return Frame(rows)


def frame(snapshot: VgaSnapshot | LinearSnapshot, columns: int, lines: int) -> Frame:
    """The cells for a snapshot; graphics are made to fit `columns` and `lines`."""
    if not snapshot.is_on:
        return Frame([])
    if isinstance(snapshot, VgaSnapshot) and snapshot.is_text:
        return _text(text_screen(snapshot))
    return _graphics(snapshot, columns, lines)


def _text(screen: TextScreen) -> Frame:
    styles: dict[int, Style] = {}
    for attribute in set(screen.attributes):
        foreground, background = screen.colours(attribute)
        blinks = screen.blinks and bool(attribute & _BLINK)
        styles[attribute] = screen.palette[foreground], screen.palette[background], blinks
    rows = []
    for number, line in enumerate(screen.lines()):
        first = number * screen.columns
        attributes = screen.attributes[first : first + screen.columns]
        rows.append([(character, styles[attribute]) for character, attribute in zip(line, attributes, strict=True)])
    part = len(screen.cursor_lines) / screen.cell_height
    return Frame(rows, screen.cursor if screen.cursor_is_shown else None, part)


def _graphics(snapshot: VgaSnapshot | LinearSnapshot, columns: int, lines: int) -> Frame:
    """A picture of two dots a cell, one above the other, each the dot of the screen in its middle."""
    import numpy as np

    from hypervisor.screen.pixels import render

    pixels = render(snapshot)
    height, width, _ = pixels.shape
    down = (np.arange(lines * 2) * 2 + 1) * height // (lines * 4)
    across = (np.arange(columns) * 2 + 1) * width // (columns * 2)
    dots = pixels[down[:, None], across[None, :]].tolist()
    return Frame([
        [(HALF_BLOCK, (tuple(above), tuple(below), False)) for above, below in zip(upper, lower, strict=True)]
        for upper, lower in zip(dots[::2], dots[1::2], strict=True)
    ])  # fmt: skip
