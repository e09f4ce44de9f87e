"""The terminal as a guest's screen, keyboard and mouse (``ring3 run --display``), with its serial line behind.

While the screen is shown, the serial line's output is held and comes to the terminal when the user switches
over (Ctrl-A s), and at the end; where standard output is no terminal, it goes there at once. Pictures are
drawn by a thread of their own, which looks some thirty times a second whether the screen has changed: a
guest pays nothing for what it writes to the screen.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole

from hypervisor.console import ESCAPE, RawTerminal, TerminalConsole
from hypervisor.devices.scancodes import KEYS, LEFT_ALT, LEFT_CTRL
from hypervisor.display.frame import frame
from hypervisor.display.keys import Keys, MouseEvent, TerminalInput
from hypervisor.display.painter import CLEAR, ENTER, LEAVE, Painter
from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.domain import Domain

_FRAME_SECONDS = 1 / 30
_ESCAPE_SECONDS = 0.05  # a sequence comes at once; what stands alone so long is the Escape key
_STUCK_SECONDS = 1.0  # a terminal that takes nothing for so long is given up for this time
_HELD = 1 << 20  # bytes of serial output held at most: the last ones
_UNKNOWN = (80, 25)  # columns and lines of a terminal that does not tell them
_CELL = (8, 16)  # counts of the mouse for a column and a row
_READ_SIZE = 1024


class ScreenTerminal(RawTerminal):
    """Raw input, and the alternate screen while `shows_screen`. `is_stuck`: the terminal took nothing last time."""

    def __init__(self, fd: int, out: int) -> None:
        super().__init__(fd)
        self._out = _opened_anew(out)
        self.shows_screen = True
        self.is_stuck = False
        self._on_screen = False
        self.entered = 0  # how often the screen was cleared

    def enter(self) -> None:
        """Also after a stop, and after `shows_screen` was changed."""
        super().enter()
        self._switch(self.shows_screen)

    def restore(self) -> None:
        """Leave the alternate screen, and put the terminal back."""
        self._switch(False)
        super().restore()

    def _switch(self, screen: bool) -> None:
        if screen != self._on_screen:
            self._on_screen = screen
            with contextlib.suppress(OSError):
                self.put((ENTER if screen else LEAVE).encode())
            self.entered += screen

    def put(self, data: bytes, ending: threading.Event | None = None) -> bool:
        """Write `data`; False where the terminal takes no more of it, or `ending` comes first. Raises OSError."""
        view, last = memoryview(data), time.monotonic()
        while view:
            try:
                view, last = view[os.write(self._out, view) :], time.monotonic()
            except BlockingIOError:
                if time.monotonic() - last > _STUCK_SECONDS or (ending and ending.is_set()):
                    break
                select.select([], [self._out], [], _FRAME_SECONDS)
        self.is_stuck = bool(view)
        return not view

    def close(self) -> None:
        """Let go of the terminal."""
        os.close(self._out)


def _opened_anew(tty: int) -> int:
    """A descriptor that does not wait, while `tty`, which others have too, does.

    Another user's terminal (su) cannot be opened; it is waited for.
    """
    try:
        return os.open(f"/proc/self/fd/{tty}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return os.dup(tty)


class DisplayConsole(TerminalConsole):
    """The guest's VGA, keyboard and mouse on the terminal. Raises RingError where there is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        if not os.isatty(self._in):
            raise RingError("--display needs a terminal; run ring3 in one, or leave the option out")
        if os.environ.get("TERM", "dumb") == "dumb":
            raise RingError("--display needs a terminal with a cursor, and TERM names none; set TERM or leave it out")
        self._tty = self._out if os.isatty(self._out) else self._in
        self._screen_terminal = ScreenTerminal(self._in, self._tty)
        self._terminal = self._screen_terminal
        self._painter = Painter(_colours())
        self._painter_thread: threading.Thread | None = None
        self._painting = threading.RLock()  # a signal's handler may find its own thread within
        self._serial = deque[bytes]()  # held output
        self._held = 0
        self._keys = TerminalInput()
        self._pointer: tuple[int, int] | None = None
        self._message: list[str] = []
        self._painted = 0, 0, 0  # `entered`, columns and lines of the screen that the painter knows

    # --- Console ----------------------------------------------------------------------------------------

    def open(self, domain: Domain) -> None:
        """Take over the terminal, and start reading keys and drawing."""
        super().open(domain)
        self._painter_thread = threading.Thread(target=self._keep_painting, name="display", daemon=True)
        self._painter_thread.start()

    def write(self, data: bytes) -> None:
        """Serial output: held while the screen is shown, unless it goes elsewhere."""
        if self._tty != self._out:
            super().write(data)
            return
        with self._painting:
            if not self._screen_terminal.shows_screen:
                super().write(data)
                return
            self._serial.append(data)
            self._held += len(data)
            while self._held > _HELD and len(self._serial) > 1:
                self._held -= len(self._serial.popleft())

    def close(self) -> None:
        """Put the terminal back, and leave on it the serial output that was held, or else the screen's last text."""
        self._ending.set()
        if self._painter_thread:
            self._painter_thread.join()
        with self._painting:  # a command that changes the terminal is over, or comes to nothing
            pass
        super().close()
        self._screen_terminal.close()
        if self._screen_terminal.is_stuck and self._tty == self._out:
            return  # whoever is there sees nothing
        if self._serial or self._tty != self._out:
            self._release_serial()
        elif self._painter_thread:
            super().write("".join(f"{line}\n" for line in self._domain.vga.text().splitlines()).encode())

    def _release_serial(self) -> None:
        while self._serial:
            super().write(self._serial.popleft())
        self._held = 0

    # --- drawing (in its own thread) --------------------------------------------------------------------

    def _keep_painting(self) -> None:
        seen: object = None
        pause = _FRAME_SECONDS
        while not self._ending.wait(pause):
            started = time.monotonic()
            try:
                columns, lines = os.get_terminal_size(self._tty)
                columns, lines = columns or _UNKNOWN[0], lines or _UNKNOWN[1]
                now = (self._domain.vga.fingerprint(), tuple(self._message), columns, lines,
                       self._screen_terminal.entered, self._domain.keyboard.mouse.is_reporting)  # fmt: skip
                if now != seen:
                    self._paint(columns, lines)
                    seen = now
            except OSError:
                return  # the terminal is gone
            spent = time.monotonic() - started
            pause = max(_FRAME_SECONDS, 2 * spent)  # never more than a third of a processor

    def _paint(self, columns: int, lines: int) -> None:
        snapshot = self._domain.vga.snapshot()
        shown = frame(snapshot, columns, lines).fitted(columns, lines)
        if self._message:
            shown = shown.with_message(self._message).fitted(columns, lines)
        with self._painting:
            terminal = self._screen_terminal
            if not terminal.shows_screen:
                return
            if self._painted != (terminal.entered, columns, lines):
                self._painted = terminal.entered, columns, lines
                self._painter.forget()
                terminal.put(CLEAR.encode(), self._ending)
            text = self._painter.paint(shown, mouse=self._domain.keyboard.mouse.is_reporting)
            if not terminal.put(text.encode(), self._ending):
                self._painted = 0, 0, 0  # what it shows is not known

    def _on_stop(self, number: int, stack: Any) -> None:
        with self._painting:
            super()._on_stop(number, stack)

    # --- input (in its own thread) ------------------------------------------------------------------------

    def _read_input(self) -> None:
        for data, over in self._torn_chunks():
            if not self._screen_terminal.shows_screen:
                self._take(data)
                continue
            for event in self._keys.feed(data, over):
                if isinstance(event, MouseEvent):
                    self._move(event)
                else:
                    self._key(event)

    def _key(self, event: Keys) -> None:
        is_escape = event.character == chr(ESCAPE)
        if self._escaped:
            self._escaped = False
            if is_escape:
                self._press(event)
            elif event.character:
                self._command(event.character)
        elif is_escape:
            self._escaped = True
        elif self._message:
            self._message = []
        else:
            self._press(event)

    def _torn_chunks(self) -> Iterator[tuple[bytes, bool]]:
        """Input, and with True that what came before has ended."""
        while True:
            patience = _ESCAPE_SECONDS if self._keys.is_unfinished else None
            ready, _, _ = select.select([self._in, self._stop_read], [], [], patience)
            if self._stop_read in ready:
                return
            if not ready:
                yield b"", True
                continue
            try:
                data = os.read(self._in, _READ_SIZE)
            except OSError:
                return
            if not data:
                return
            yield data, False

    def _press(self, event: Keys) -> None:
        if not self._screen_terminal.shows_screen:
            self._type(event.character.encode())
            return
        strokes = [(key, True) for key in event.keys] + [(key, False) for key in reversed(event.keys)]
        while not self._domain.press_keys(strokes):
            if self._ending.wait(_FRAME_SECONDS):
                return

    def _move(self, event: MouseEvent) -> None:
        """Terminals tell where the pointer is, mice how far they went."""
        before = self._pointer or (event.column, event.row)
        self._pointer = event.column, event.row
        right, down = (event.column - before[0]) * _CELL[0], (event.row - before[1]) * _CELL[1]
        self._domain.move_mouse(right, -down, event.wheel, event.buttons)

    # --- commands -----------------------------------------------------------------------------------------

    @property
    def commands(self) -> dict[str, tuple[str, Callable[[], None]]]:
        """Those of the plain console but the one for the screen, and what a screen and a keyboard bring along."""
        plain = {key: command for key, command in super().commands.items() if key != "v"}
        return plain | {
            "s": ("switch between the screen and the serial line", self._switch),
            "d": ("press Ctrl-Alt-Delete", self._control_alt_delete),
        }

    def _say(self, text: str) -> None:
        if self._screen_terminal.shows_screen:
            self._message = [*text.splitlines(), "(any key: back to the screen)"]
        else:
            super()._say(text)

    def _switch(self) -> None:
        with self._painting:
            if self._ending.is_set():
                return
            terminal = self._screen_terminal
            terminal.shows_screen = not terminal.shows_screen
            terminal.enter()
            if not terminal.shows_screen:
                self._release_serial()

    def _control_alt_delete(self) -> None:
        self._press(Keys((LEFT_CTRL, LEFT_ALT, KEYS["delete"])))


def _colours() -> str | None:
    """What the terminal can show, as Rich knows it: "truecolor", "256", "standard" or None."""
    return RichConsole(file=sys.__stderr__, force_terminal=True).color_system

