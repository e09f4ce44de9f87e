"""The terminal as a guest's console.

On a terminal, input is raw (every key goes to the guest, Ctrl-C too) and Ctrl-A starts a command, as in
QEMU. Pipes and files work too: end of input leaves the guest running, and there are no commands.

The terminal is put back on every way out: the guest's end, exceptions, SIGTERM, SIGHUP, and while the
program is stopped (SIGTSTP). Input is read by a thread of its own; everything else happens in the main
thread, which the thread interrupts with a signal where the user asks for the end.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hypervisor import interrupts
from hypervisor.report import statistics

if TYPE_CHECKING:
    from hypervisor.domain import Domain

ESCAPE = 0x01  # Ctrl-A
_READ_SIZE = 1024
_RETRY_SECONDS = 0.005  # between attempts to type while the guest does not read


class UserQuit(Exception):
    """The user asked for the guest's end (Ctrl-A x)."""


class Terminated(Exception):
    """A signal that ends programs arrived; `signum` is to be raised again after cleaning up."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class RawTerminal:
    """Raw input on a terminal; output keeps its processing, so that a bare line feed starts a new line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved: list[Any] | None = None

    def enter(self) -> None:
        """Switch to raw input, remembering how the terminal was."""
        if self._saved is None:
            self._saved = termios.tcgetattr(self._fd)
        mode = termios.tcgetattr(self._fd)
        mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON)
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)

    def restore(self) -> None:
        """Put the terminal back; harmless when nothing is to be put back."""
        if self._saved is not None:
            with contextlib.suppress(termios.error):  # the terminal itself may be gone
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
            self._saved = None


class TerminalConsole:
    """Standard input and output as a guest's console (`hypervisor.domain.Console`)."""

    def __init__(self, stdin: int | None = None, stdout: int | None = None) -> None:
        self._in = sys.stdin.fileno() if stdin is None else stdin
        self._out = sys.stdout.fileno() if stdout is None else stdout
        self._terminal = RawTerminal(self._in) if os.isatty(self._in) else None
        self._handlers: dict[int, Any] = {}
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._started = 0.0
        self._escaped = False  # Ctrl-A came last

    # --- Console ------------------------------------------------------------------------------------

    def open(self, domain: Domain) -> None:
        """Take over the signals and the terminal, and start reading input."""
        self._domain, self._started = domain, time.monotonic()
        self._ending.clear()
        self._handle(signal.SIGUSR1, self._on_quit)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handle(number, self._on_terminate)
        if self._terminal:
            self._handle(signal.SIGTSTP, self._on_stop)
            self._terminal.enter()
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._read_input, name="console input", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenPipeError where nobody reads any more."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:
                select.select([], [self._out], [])

    def close(self) -> None:
        """Put back the terminal and the signals; also after an `open` that failed half-way."""
        if self._terminal:
            self._terminal.restore()
        self._ending.set()
        if self._thread:
            os.close(self._stop_write)
            self._thread.join()
            os.close(self._stop_read)
            self._thread = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    # --- signals ------------------------------------------------------------------------------------

    def _handle(self, number: int, handler: Callable[[int, Any], None]) -> None:
        self._handlers[number] = signal.signal(number, handler)

    def _on_quit(self, _number: int, _frame: Any) -> None:
        interrupts.post(UserQuit())

    def _on_terminate(self, number: int, _frame: Any) -> None:
        interrupts.post(Terminated(number))

    def _on_stop(self, _number: int, _frame: Any) -> None:
        """SIGTSTP: give the terminal back while stopped; execution goes on here at SIGCONT."""
        assert self._terminal
        self._terminal.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.enter()

    # --- input (in its own thread) --------------------------------------------------------------------

    def _read_input(self) -> None:
        for data in self._chunks():
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Type `data`, but for the commands in it."""
        if not self._terminal:
            self._type(data)
            return
        plain = bytearray()
        for byte in data:
            if not self._escaped and byte == ESCAPE:
                self._escaped = True
            elif self._escaped and byte != ESCAPE:
                self._escaped = False
                self._type(bytes(plain))
                plain.clear()
                self._command(chr(byte))
            else:
                self._escaped = False
                plain.append(byte)
        self._type(bytes(plain))

    def _chunks(self) -> Iterator[bytes]:
        """Input until its end or the guest's."""
        while True:
            ready, _, _ = select.select([self._in, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            try:
                data = os.read(self._in, _READ_SIZE)
            except OSError:
                return  # the terminal is gone
            if not data:
                return
            yield data

    def _type(self, data: bytes) -> None:
        while data:
            data = data[self._domain.type_bytes(data) :]
            if data and self._ending.wait(_RETRY_SECONDS):
                return

    # --- commands -------------------------------------------------------------------------------------

    @property
    def commands(self) -> dict[str, tuple[str, Callable[[], None]]]:
        """What the keys behind Ctrl-A do: key -> (meaning, command)."""
        return {
            "h": ("this help", self._help),
            "x": ("end the guest", self._quit),
            "b": ("send a break to the serial port", self._break),
            "i": ("state and counters of the guest", self._info),
            "v": ("text on the guest's VGA screen", self._screen),
        }

    def _command(self, key: str) -> None:
        known = self.commands.get(key)
        if known:
            known[1]()
        else:
            self._say(f"Ctrl-A {key!a} is no command; Ctrl-A h lists them")

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.write(b"\n" + text.encode() + b"\n")

    def _help(self) -> None:
        lines = [f"Ctrl-A {key}       {meaning}" for key, (meaning, _) in self.commands.items()]
        self._say("\n".join([*lines, "Ctrl-A Ctrl-A  send Ctrl-A to the guest"]))

    def _quit(self) -> None:
        self._ending.set()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _break(self) -> None:
        self._domain.rings.send_break()

    def _info(self) -> None:
        seconds = time.monotonic() - self._started
        self._say(f"{self._domain.name}: running for {seconds:.1f} s\n{statistics(self._domain)}")

    def _screen(self) -> None:
        self._say(self._domain.vga.text() or "(the VGA screen is empty)")


class NoConsole:
    """A console that nobody looks at, for guests that are run by a program."""

    def open(self, domain: Domain) -> None:
        """Nothing is typed."""

    def write(self, data: bytes) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing was held."""
