"""``ring3 run --display`` on a pseudo-terminal: what a terminal then shows, what keys and mouse do, and the way out."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from native.build import compiler
from tests.hypervisor import guests
from tests.hypervisor.cli.commands import refusal
from tests.hypervisor.screen.screens import FLAGS
from tests.hypervisor.terminal import SECONDS, Terminal

pytestmark = pytest.mark.usefixtures("monitor")
CTRL_A = b"\x01"
ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel in `desk.c`."""
    kernel = tmp_path_factory.mktemp("desk") / "desk.elf"
    subprocess.run([*compiler(), *FLAGS, "-o", str(kernel), str(Path(__file__).parent / "desk.c")], check=True)
    return kernel


class Screen(Terminal):
    """A run with --display, and what a terminal shows of it."""

    def __init__(
        self, kernel: Path, *options: str, size: tuple[int, int] = (25, 80), colour: str = "truecolor"
    ) -> None:
        self.shown = pyte.Screen(size[1], size[0])
        self._stream = pyte.ByteStream(self.shown)
        super().__init__(kernel, "--display", *options, size=size, TERM="xterm-256color", COLORTERM=colour)

    def received(self, data: bytes) -> None:
        self._stream.feed(data)

    def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Read until the terminal shows something."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what} was not seen; the terminal shows {self.shown.display}"
            self.read(0.05)

    def row(self, number: int) -> str:
        return str(self.shown.display[number]).rstrip()

    def shows(self, number: int, text: str) -> None:
        self.until(lambda: self.row(number) == text, text)

    def press(self, data: bytes, codes: str) -> None:
        """Type and wait until the guest shows these scan codes behind those before."""
        before = self.row(2)
        self.type(data)
        self.shows(2, f"{before} {codes}".strip())


@pytest.fixture
def screen(desk: Path) -> Iterator[Screen]:
    session = Screen(desk)
    try:
        session.shows(0, "Hello, \u263b \u2554\u2550\u2557")
        yield session
    finally:
        session.close()


def test_text_colours_and_cursor(screen: Screen) -> None:
    screen.shows(1, "red blink")
    cell = screen.shown.buffer[0][0]
    assert (cell.data, cell.fg, cell.bg) == ("H", "ffff55", "0000aa")
    red, blinking = screen.shown.buffer[1][0], screen.shown.buffer[1][4]
    assert (red.fg, red.bg, red.blink) == ("aa0000", "000000", False)
    assert (blinking.fg, blinking.blink) == ("aaaaaa", True)
    screen.until(lambda: (screen.shown.cursor.y, screen.shown.cursor.x) == (2, 0))
    assert not screen.shown.cursor.hidden and b"\x1b[3 q" in screen.output
    assert screen.is_raw() and ALTERNATE in screen.output
    assert b"serial" not in screen.output, "the serial line's output is held"


def test_only_what_changes_is_drawn(screen: Screen) -> None:
    screen.press(b"a", "1e 9e")
    before = len(screen.output)
    screen.press(b"b", "30 b0")
    assert len(screen.output) - before < 200
    time.sleep(0.2)
    screen.read(0)
    before = len(screen.output)
    assert not screen.read(0.3) and len(screen.output) == before, "nothing changes, nothing is sent"


@pytest.mark.parametrize(
    ("typed", "codes"),
    [(b"A", "2a 1e 9e aa"), (b"\x03", "1d 2e ae 9d"), (b"\r", "1c 9c"), (b"\x1b[A", "e0 48 e0 c8"),
     (b"\x1bOP", "3b bb"), (b"\x1b[24~", "58 d8"), (b"\x1b[1;5C", "1d e0 4d e0 cd 9d"), (b"\x1bx", "38 2d ad b8"),
     (b"\x1b", "01 81"),
     (CTRL_A * 2, "1d 1e 9e 9d"), (CTRL_A + b"d", "1d 38 e0 53 e0 d3 b8 9d")],
)  # fmt: skip
def test_keys(screen: Screen, typed: bytes, codes: str) -> None:
    screen.press(typed, codes)


def test_the_mouse(screen: Screen) -> None:
    assert b"\x1b[?1003h" not in screen.output
    screen.type(b"m")
    screen.expect(b"\x1b[?1003h\x1b[?1006h")
    before = screen.row(2)
    screen.type(b"\x1b[<35;10;10M\x1b[<35;12;9M\x1b[<0;12;9M\x1b[<0;12;9m")
    screen.shows(2, f"{before} 08 10 10 09 00 00 08 00 00")
    screen.type(b"q")
    assert screen.wait() == 0
    assert screen.output.rindex(b"\x1b[?1003l") > screen.output.index(b"\x1b[?1003h")


def test_graphics_are_shown_by_half_blocks(screen: Screen) -> None:
    screen.type(b"g")
    screen.until(lambda: screen.shown.buffer[12][10].data == "\u2580", "a half block")
    left, right = screen.shown.buffer[12][10], screen.shown.buffer[12][70]
    assert (left.fg, left.bg, right.fg, right.bg) == ("aa0000", "aa0000", "0000aa", "0000aa")
    screen.type(b"t")
    screen.shows(1, "red blink")


def test_the_serial_line_is_behind(screen: Screen) -> None:
    screen.type(CTRL_A + b"s")
    screen.expect(b"serial\r\n")
    assert screen.output.rindex(BACK) < screen.output.index(b"serial")
    screen.type(CTRL_A + b"s")
    screen.until(lambda: screen.output.count(ALTERNATE) == 2)
    screen.shows(1, "red blink")
    screen.press(b"a", "1e 9e")
    screen.type(b"q")
    assert screen.wait() == 0 and screen.is_restored()
    assert screen.output.endswith(b"k1ek9ek10k90"), "what came meanwhile comes at the end"


def test_messages_lie_over_the_screen_until_a_key(screen: Screen) -> None:
    screen.type(CTRL_A + b"h")
    screen.until(lambda: "Ctrl-A s" in "".join(screen.shown.display))
    assert screen.shown.cursor.hidden
    screen.type(b"x")
    screen.shows(0, "Hello, \u263b \u2554\u2550\u2557")
    screen.shows(2, "")
    screen.type(CTRL_A + b"x")
    assert screen.wait() == 0 and screen.is_restored()


def test_a_terminal_that_changes_its_size_is_drawn_anew(screen: Screen) -> None:
    screen.resize(24, 40)
    screen.shown.resize(24, 40)
    screen.shown.reset()
    screen.press(b"a", "1e 9e")
    screen.shows(1, "red blink")


def test_a_small_terminal_shows_where_the_cursor_is(tmp_path: Path) -> None:
    """Row 20, to which the cursor is moved."""
    code = (b"\x66\xc7\x05" + (0xB8000 + 20 * 160).to_bytes(4, "little") + b"\x41\x07" + guests.out(0x3D4, 0x060E, 2)
            + guests.out(0x3D4, 0x400F, 2) + guests.SPIN)  # fmt: skip
    session = Screen(guests.write(tmp_path, code), size=(10, 20))
    try:
        session.shows(9, "A")
    finally:
        session.close()


@pytest.mark.parametrize(("colour", "sequence"), [("truecolor", b"38;2;170;0;0"), ("", b"38;5;124")])
def test_colours_as_far_as_the_terminal_has_them(desk: Path, colour: str, sequence: bytes) -> None:
    session = Screen(desk, colour=colour)
    try:
        session.shows(1, "red blink")
        assert sequence in session.output
    finally:
        session.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_deadly_signal_restores_the_terminal(screen: Screen, number: signal.Signals) -> None:
    screen.process.send_signal(number)
    assert screen.wait() == -number and screen.is_restored() and BACK in screen.output


def test_a_terminal_that_nobody_reads_holds_up_no_end(tmp_path: Path) -> None:
    """Not the first frames fill it, but the painter's thread comes to a write that cannot go on."""
    changing = bytes.fromhex("40 bf00800b00 b9e8030000 f3ab ebf1")  # all of the screen, again and again
    session = Screen(guests.write(tmp_path, changing))
    try:
        full, seen = -1, 0
        while full != seen or not seen:
            time.sleep(0.5)
            full, seen = seen, int.from_bytes(fcntl.ioctl(session.master, termios.FIONREAD, bytes(4)), "little")
        session.process.send_signal(signal.SIGTERM)
        assert session.process.wait(SECONDS) == -signal.SIGTERM
        assert termios.tcgetattr(session.slave) == session.before
    finally:
        session.close()


def test_stopping_gives_the_terminal_back_for_the_time(screen: Screen) -> None:
    screen.process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(screen.process.pid, os.WUNTRACED)
    screen.expect(BACK)
    assert os.WIFSTOPPED(status) and screen.is_restored()
    screen.process.send_signal(signal.SIGCONT)
    screen.until(lambda: screen.output.count(ALTERNATE) == 2)
    screen.shows(1, "red blink")
    screen.type(b"q")
    assert screen.wait() == 0 and screen.is_restored()


@pytest.mark.parametrize(
    ("code", "options", "status"),
    [(guests.HALT, (), 6), (guests.TRIPLE_FAULT, (), 4), (guests.SPIN, ("--timeout", "0.5"), 124),
     (guests.RESET, ("--no-reboot",), 0), (guests.out(0xF4, 1), (), 3)],
)  # fmt: skip
def test_every_end_restores_the_terminal(tmp_path: Path, code: bytes, options: tuple[str, ...], status: int) -> None:
    session = Screen(guests.write(tmp_path, guests.say(b"last words") + code), *options)
    try:
        assert session.wait() == status and session.is_restored()
        assert session.output.rindex(BACK) < session.output.rindex(b"last words")
    finally:
        session.close()


def test_the_last_screen_stays_where_there_was_no_serial_output(tmp_path: Path) -> None:
    code = bytes.fromhex("66c70500800b004207 66c70502800b007907 66c70504800b006507") + guests.POWEROFF
    session = Screen(guests.write(tmp_path, code))
    try:
        assert session.wait() == 0 and session.is_restored()
        assert session.output.endswith(BACK + b"Bye\r\n")
    finally:
        session.close()


def test_serial_output_goes_elsewhere_at_once(desk: Path, tmp_path: Path) -> None:
    """Standard output in a file: the screen is drawn on the terminal that the keys come from."""
    with (tmp_path / "serial").open("wb") as serial:
        terminal = Terminal(desk, "--display", stdout=serial)
    try:
        terminal.expect(b"Hello")
        assert (tmp_path / "serial").read_bytes() == b"serial\n"
        terminal.type(b"q")
        assert terminal.wait() == 0
        assert (tmp_path / "serial").read_bytes() == b"serial\nk10k90"
    finally:
        terminal.close()


def test_a_terminal_that_tells_no_size_counts_for_80_by_25(desk: Path) -> None:
    session = Terminal(desk, "--display", size=(0, 0))
    try:
        session.expect(b"blink")
    finally:
        session.close()


def test_a_terminal_without_a_cursor_is_refused(desk: Path) -> None:
    session = Terminal(desk, "--display", TERM="dumb")
    try:
        assert session.wait() == 2 and session.is_restored()
        assert session.output.startswith(b"ring3: --display needs a terminal with a cursor")
        assert ALTERNATE not in session.output
    finally:
        session.close()


def test_without_a_terminal_it_is_refused(desk: Path) -> None:
    assert "--display needs a terminal" in refusal("run", "--display", desk)
