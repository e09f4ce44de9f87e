"""The screen in text mode, as rows of characters with their colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hypervisor.screen.snapshot import PLANE, RGB, VgaSnapshot

# CP437 has shapes for the control characters too (Python's codec leaves them alone).
_LOW = " \u263a\u263b\u2665\u2666\u2663\u2660\u2022\u25d8\u25cb\u25d9\u2642\u2640\u266a\u266b\u263c" \
       "\u25ba\u25c4\u2195\u203c\u00b6\u00a7\u25ac\u21a8\u2191\u2193\u2192\u2190\u221f\u2194\u25b2\u25bc"  # fmt: skip
CHARACTERS = _LOW + bytes(range(32, 127)).decode("ascii") + "\u2302" + bytes(range(128, 255)).decode("cp437") + " "

_CURSOR_START, _CURSOR_END, _CURSOR_HIGH, _CURSOR_LOW = 0x0A, 0x0B, 0x0E, 0x0F
_CURSOR_OFF = 0x20
_BLINK_ENABLED = 0x08  # attribute mode control


@dataclass(frozen=True)
class TextScreen:
    """`rows` of `columns` characters (CP437) and attributes, row behind row, and the cursor."""

    columns: int
    rows: int
    characters: bytes
    attributes: bytes
    cursor: tuple[int, int]  # row, column; may lie outside
    cursor_lines: range  # scan lines of the cell that the cursor fills; empty: no cursor
    cell_height: int
    blinks: bool  # attribute bit 7 blinks; else it is a bright background
    palette: list[RGB]

    def colours(self, attribute: int) -> tuple[int, int]:
        """Foreground and background (of `palette`) for an attribute."""
        return attribute & 15, attribute >> 4 & (7 if self.blinks else 15)

    @cached_property
    def cursor_is_shown(self) -> bool:
        """Whether the cursor fills anything of a cell on the screen."""
        row, column = self.cursor
        return bool(self.cursor_lines) and 0 <= row < self.rows and 0 <= column < self.columns

    def lines(self) -> list[str]:
        """The rows as text."""
        text = self.characters.decode("latin-1").translate(_TRANSLATION)
        return [text[row * self.columns : (row + 1) * self.columns] for row in range(self.rows)]


_TRANSLATION = dict(enumerate(CHARACTERS))


def text_screen(snapshot: VgaSnapshot) -> TextScreen:
    """The screen of a VGA in text mode; in other modes what its memory would show as text."""
    crtc, columns, pitch = snapshot.registers.crtc, snapshot.columns, snapshot.pitch
    cell = snapshot.cell_height * snapshot.line_doubling
    rows = max(snapshot.lines // cell, 1)
    characters, attributes = bytearray(), bytearray()
    split = snapshot.line_compare // cell + 1  # first row of the lower part
    for row in range(rows):
        first = snapshot.start + row * pitch if row < split else (row - split) * pitch
        where = [snapshot.address(count) for count in range(first, first + columns)]
        characters += bytes(snapshot.planes[at] for at in where)
        attributes += bytes(snapshot.planes[PLANE + at] for at in where)
    position = (crtc[_CURSOR_HIGH] << 8 | crtc[_CURSOR_LOW]) - snapshot.start
    first_line, last_line = crtc[_CURSOR_START] & 0x1F, min(crtc[_CURSOR_END] & 0x1F, snapshot.cell_height - 1)
    lines = range(0) if crtc[_CURSOR_START] & _CURSOR_OFF else range(first_line, last_line + 1)
    return TextScreen(
        columns, rows, bytes(characters), bytes(attributes), divmod(position, pitch or columns), lines,
        snapshot.cell_height, bool(snapshot.registers.attributes[0x10] & _BLINK_ENABLED), snapshot.palette(),
    )  # fmt: skip


def screen_text(snapshot: VgaSnapshot) -> str:
    """The screen as text, without trailing spaces and empty lines at the end; empty in graphics modes."""
    if not snapshot.is_text:
        return ""
    return "\n".join(line.rstrip() for line in text_screen(snapshot).lines()).rstrip("\n")
