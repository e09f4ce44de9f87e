"""The terminal console on a pseudo-terminal: keys, and the terminal as it was on every way out."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hypervisor import guests
from tests.hypervisor.terminal import SECONDS, Terminal

pytestmark = pytest.mark.usefixtures("monitor")

CTRL_A = b"\x01"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A guest that says `ready`, then echoes what is typed."""
    session = Terminal(guests.write(tmp_path, guests.say(b"ready") + guests.ECHO), "--name", "tty")
    try:
        session.expect(b"ready")
        yield session
    finally:
        session.close()


def test_keys_reach_the_guest_raw(terminal: Terminal) -> None:
    assert terminal.is_raw()
    terminal.type(b"a\x03\r")
    terminal.expect(b"a\x03\r")
    terminal.type(b"q")
    assert terminal.wait() == 0 and terminal.is_restored()


def test_line_feeds_start_a_new_line(terminal: Terminal) -> None:
    terminal.type(b"one\ntwo")
    terminal.expect(b"one\r\ntwo")


def test_ctrl_a_x_quits(terminal: Terminal) -> None:
    terminal.type(CTRL_A + b"x")
    assert terminal.wait() == 0 and terminal.is_restored()


def test_ctrl_a_twice_sends_one(terminal: Terminal) -> None:
    terminal.type(b"<" + CTRL_A + CTRL_A + b">")
    terminal.expect(b"<\x01>")


def test_ctrl_a_b_sends_a_break(terminal: Terminal) -> None:
    terminal.type(b"x" + CTRL_A + b"b" + b"y")
    terminal.expect(b"x\0y")  # what a UART's data register has then


def test_the_commands(terminal: Terminal) -> None:
    terminal.type(CTRL_A + b"h")
    terminal.expect(b"send Ctrl-A to the guest")
    terminal.type(CTRL_A + b"i")
    terminal.expect(b"tty: running for")
    terminal.expect(b"hypercalls")
    terminal.type(CTRL_A + b"v")
    terminal.expect(b"VGA screen is empty")
    terminal.type(CTRL_A + b"?")
    terminal.expect(b"Ctrl-A '?' is no command")
    terminal.type(b"still here")
    terminal.expect(b"still here")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_deadly_signal_restores_the_terminal(terminal: Terminal, number: signal.Signals) -> None:
    terminal.process.send_signal(number)
    assert terminal.wait() == -number and terminal.is_restored()


def test_stopping_gives_the_terminal_back_for_the_time(terminal: Terminal) -> None:
    terminal.process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status) and terminal.is_restored()
    terminal.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + SECONDS
    while not terminal.is_raw() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert terminal.is_raw()
    terminal.type(b"go on")
    terminal.expect(b"go on")
    terminal.type(b"q")
    assert terminal.wait() == 0 and terminal.is_restored()


@pytest.mark.parametrize(
    ("code", "options", "status"),
    [(guests.HALT, (), 6), (guests.TRIPLE_FAULT, (), 4), (guests.SPIN, ("--timeout", "0.5"), 124),
     (guests.RESET, ("--timeout", "0.5"), 124), (guests.out(0xF4, 1), (), 3)],
)  # fmt: skip
def test_every_end_restores_the_terminal(tmp_path: Path, code: bytes, options: tuple[str, ...], status: int) -> None:
    session = Terminal(guests.write(tmp_path, code), *options)
    try:
        assert session.wait() == status and session.is_restored()
    finally:
        session.close()


def test_a_guest_whose_monitor_is_killed_restores_the_terminal(terminal: Terminal) -> None:
    children = Path(f"/proc/{terminal.process.pid}/task/{terminal.process.pid}/children").read_text().split()
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)
    assert terminal.wait() == 70 and terminal.is_restored()


def test_typing_to_the_keyboard(tmp_path: Path) -> None:
    """Wait for the controller's output buffer; print the scan code as a character; power off."""
    poll = guests.in_(0x64) + b"\xa8\x01" + b"\x74\xf7"  # test $1,%al; jz back
    show = guests.in_(0x60) + b"\x66\xba\xf8\x03\xee"
    session = Terminal(guests.write(tmp_path, guests.say(b"[") + poll + show + guests.say(b"]") + guests.POWEROFF),
                       "--keyboard")  # fmt: skip
    try:
        session.expect(b"[")
        session.type(b"l")
        assert session.wait() == 0
        assert session.output.endswith(b"[&]"), "the make code of L is 0x26"
    finally:
        session.close()
