"""After any sequence of frames a terminal shows the last one, whatever was drawn before."""

from __future__ import annotations

import pyte
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.display.frame import Cell, Frame
from hypervisor.display.painter import CLEAR, Painter
from hypervisor.screen.text import CHARACTERS

LINES, COLUMNS = 4, 9
colours = st.sampled_from([(0, 0, 0), (170, 0, 0), (255, 255, 85)])
cells = st.tuples(st.sampled_from(sorted(set(CHARACTERS))[::9]), st.tuples(colours, colours, st.booleans()))
frames = st.builds(
    Frame,
    st.lists(st.lists(cells, max_size=COLUMNS), max_size=LINES),
    st.none() | st.tuples(st.integers(0, LINES - 1), st.integers(0, COLUMNS - 1)),
    st.sampled_from([0.1, 1.0]),
)


def shown(screen: pyte.Screen, line: int, column: int) -> Cell:
    cell = screen.buffer[line][column]
    colours = (tuple(bytes.fromhex(colour)) if colour != "default" else (0, 0, 0) for colour in (cell.fg, cell.bg))
    foreground, background = colours
    return cell.data, (foreground, background, cell.blink)  # type: ignore[return-value]


@given(st.lists(frames, min_size=1, max_size=4))
def test_the_last_frame_is_shown(sequence: list[Frame]) -> None:
    painter, screen = Painter("truecolor"), pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    stream.feed(CLEAR)
    for number, frame in enumerate(sequence):
        text = painter.paint(frame, mouse=bool(number % 2))
        stream.feed(text)
        assert painter.paint(frame, mouse=bool(number % 2)) == "", "what is there is not drawn again"
    last = sequence[-1]
    for line in range(LINES):
        row = last.rows[line] if line < len(last.rows) else []
        for column in range(COLUMNS):
            if column < len(row):
                assert shown(screen, line, column) == row[column]
            else:
                assert screen.buffer[line][column].data == " "
    assert screen.cursor.hidden == (last.cursor is None)
    if last.cursor:
        assert (screen.cursor.y, screen.cursor.x) == last.cursor


def test_terminals_without_many_colours() -> None:
    frame = Frame([[("x", ((170, 0, 0), (0, 0, 0), False))]])
    assert "\x1b[0;31;40mx" in Painter("standard").paint(frame)
    reversed_frame = Frame([[("x", ((0, 0, 0), (170, 170, 170), False))]])
    assert "\x1b[0;7mx" in Painter(None).paint(reversed_frame)
    assert "\x1b[0mx" in Painter(None).paint(frame)


def test_a_frame_is_fitted_to_a_small_terminal() -> None:
    style = ((1, 1, 1), (0, 0, 0), False)
    rows: list[list[Cell]] = [[(str(line), style)] * 3 for line in range(8)]
    fitted = Frame(rows, (6, 1)).fitted(2, 3)
    assert ["".join(cell[0] for cell in row) for row in fitted.rows] == ["44", "55", "66"]
    assert fitted.cursor == (2, 1)
    assert Frame(rows, (6, 2)).fitted(2, 3).cursor is None
    assert len(Frame(rows).fitted(80, 25).rows) == 8
