"""Draws frames on a terminal: escape sequences for the cells that have changed, and for no others.

Sources: ECMA-48 for positions and colours; xterm's "Control Sequences" for the alternate screen, the shape of
the cursor and the mouse modes.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color, ColorSystem

from hypervisor.display.frame import PLAIN, Cell, Frame, Style
from hypervisor.screen.snapshot import RGB

CLEAR = "\x1b[?25l\x1b[0m\x1b[2J"  # no cursor, empty
ENTER = f"\x1b[?1049h{CLEAR}"  # alternate screen
MOUSE_ON, MOUSE_OFF = "\x1b[?1003h\x1b[?1006h", "\x1b[?1003l\x1b[?1006l"  # every movement, as SGR
LEAVE = f"{MOUSE_OFF}\x1b[0m\x1b[0 q\x1b[?25h\x1b[?1049l"
_SHOW, _HIDE = "\x1b[?25h", "\x1b[?25l"
_BLOCK, _UNDERLINE = "\x1b[1 q", "\x1b[3 q"  # both blink, as on a VGA

_SYSTEMS = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}


class Painter:
    """What a terminal of `colours` ("standard", "256", "truecolor" or None) shows, and how to change that."""

    def __init__(self, colours: str | None) -> None:
        self._system = _SYSTEMS.get(colours or "")
        self.forget()

    def forget(self) -> None:
        """The terminal was cleared."""
        self._rows: list[list[Cell]] = []
        self._cursor: tuple[int, int] | None = None
        self._shape = ""
        self._mouse = False

    def paint(self, frame: Frame, mouse: bool = False) -> str:
        """What to send so that the terminal shows `frame`, with mouse reports as wanted."""
        out = [self._cells(number, row) for number, row in enumerate(frame.rows)]
        out += [f"\x1b[{number + 1};1H\x1b[0m\x1b[K" for number in range(len(frame.rows), len(self._rows))]
        self._rows = [list(row) for row in frame.rows]
        if mouse != self._mouse:
            out.append(MOUSE_ON if mouse else MOUSE_OFF)
            self._mouse = mouse
        drawn = any(out)
        return "".join(out) + self._move(frame, drawn)

    def _cells(self, number: int, row: list[Cell]) -> str:
        before = self._rows[number] if number < len(self._rows) else []
        out: list[str] = []
        style, at = None, None  # where the terminal would write next
        for column, cell in enumerate(row):
            if column < len(before) and before[column] == cell:
                continue
            if at != column:
                out.append(f"\x1b[{number + 1};{column + 1}H")
            if style != cell[1]:
                out.append(self._sgr(cell[1]))
            out.append(cell[0])
            style, at = cell[1], column + 1
        if len(row) < len(before):
            out.append(f"\x1b[{number + 1};{len(row) + 1}H\x1b[0m\x1b[K")
        return "".join(out)

    def _sgr(self, style: Style) -> str:
        foreground, background, blinks = style
        codes = ["0", *(["5"] if blinks else [])]
        if self._system is not None:
            codes += [*_codes(foreground, self._system, True), *_codes(background, self._system, False)]
        elif style != PLAIN and sum(background) > sum(foreground):
            codes.append("7")
        return f"\x1b[{';'.join(codes)}m"

    def _move(self, frame: Frame, drawn: bool) -> str:
        """Put the cursor where the frame has it; drawing has moved it."""
        cursor, before = frame.cursor, self._cursor
        self._cursor = cursor
        if cursor is None:
            return _HIDE if before else ""
        shape = _BLOCK if frame.cursor_part > 0.5 else _UNDERLINE
        out = f"\x1b[{cursor[0] + 1};{cursor[1] + 1}H" if drawn or cursor != before else ""
        if shape != self._shape:
            self._shape = shape
            out += shape
        return out + (_SHOW if before is None else "")


@lru_cache(4096)
def _codes(colour: RGB, system: ColorSystem, foreground: bool) -> tuple[str, ...]:
    return tuple(Color.from_rgb(*colour).downgrade(system).get_ansi_codes(foreground))
