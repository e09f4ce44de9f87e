"""Running guests from outside: list, info, screenshot, stop, and the socket itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.control import VERSION
from tests.hypervisor import guests
from tests.hypervisor.cli.commands import refusal, ring3
from tests.samples.kernels import RING3, environment

pytestmark = pytest.mark.usefixtures("monitor")
SECONDS = 10

# Writes "Hi" to the screen, probes ports and a page where nothing is, says so, and runs on.
CODE = (bytes.fromhex("66c70500800b00481f 66c70502800b00691f") + guests.in_(0x2F9) + guests.in_(0x2F9)
        + guests.out(0x2F9, 1) + b"\xa1\x00\x00\x00\xe0" + guests.say(b"up") + guests.SPIN)  # fmt: skip


class Guest:
    """A guest that runs until it is ended."""

    def __init__(self, folder: Path, *options: str, code: bytes = CODE) -> None:
        kernel = guests.write(folder, code)
        self.process = subprocess.Popen([*RING3, "run", str(kernel), *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())  # fmt: skip
        assert self.process.stdout and self.process.stdout.read(2) == b"up"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[str]:
    """The name of a running guest."""
    name = f"guest-{tmp_path.name[-40:]}"
    running = Guest(tmp_path, "--name", name)
    yield name
    running.close()


def info(name: str) -> Any:
    run = ring3("info", name, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_list(guest: str) -> None:
    lines = ring3("list").stdout.decode().splitlines()
    assert lines[0].split() == ["NAME", "STATE", "PID", "UPTIME", "MEMORY", "KERNEL"]
    line = next(line for line in lines if line.startswith(guest))
    assert "running" in line and "256 MiB" in line
    found = [json.loads(line) for line in ring3("list", "--json").stdout.splitlines()]
    assert guest in [entry["name"] for entry in found]


def test_info(guest: str) -> None:
    found = info(guest)
    assert found["name"] == guest and found["state"] == "running" and found["memory"] == 256 << 20
    assert 0 < found["resident"] < found["memory"]
    assert found["counters"]["exits"]["port_in"] == 2
    devices = {device["name"]: device for device in found["devices"]}
    assert [0x3F8, 0x3FF] in devices["UART"]["ports"] and [0x60, 0x60] in devices["i8042"]["ports"]
    assert found["absent"] == [
        {"kind": "page", "address": 0xE000_0000, "reads": 1, "writes": 0},
        {"kind": "port", "address": 0x2F9, "reads": 2, "writes": 1},
    ]
    text = ring3("info", guest).stdout.decode()
    assert "port 0x2f9        2 reads, 1 write\n" in text and "page 0xe0000000   1 read\n" in text


def test_screenshots(guest: str, tmp_path: Path) -> None:
    text, picture = tmp_path / "screen.txt", tmp_path / "screen.png"
    assert ring3("screenshot", guest, "-o", text).returncode == 0 and text.read_text() == "Hi\n"
    assert ring3("screenshot", guest, "-o", picture).returncode == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_screenshot_refusals(guest: str, tmp_path: Path) -> None:
    assert "is neither .png nor .txt" in refusal("screenshot", guest, "-o", "screen.bmp")
    assert "cannot be written" in refusal("screenshot", guest, "-o", tmp_path / "nowhere" / "screen.png")
    assert "required" in refusal("screenshot", guest)


def test_graphics_are_no_text(tmp_path: Path) -> None:
    name = f"graphics-{tmp_path.name[-40:]}"
    code = guests.out(0x3CE, 0x0506, 2) + guests.say(b"up") + guests.SPIN
    running = Guest(tmp_path, "--name", name, code=code)
    try:
        assert "shows graphics; write a .png" in refusal("screenshot", name, "-o", tmp_path / "screen.txt")
        assert info(name)["screen"] == "graphics"
    finally:
        running.close()


def test_stop(tmp_path: Path) -> None:
    name = f"stop-{tmp_path.name[-40:]}"
    running = Guest(tmp_path, "--name", name)
    run = ring3("stop", name)
    assert run.returncode == 0 and run.stdout == run.stderr == b""
    assert running.process.wait(1) == 0, "stop waits until the guest's process has ended"
    assert running.process.communicate() == (b"", b"")
    assert f"there is no guest '{name}'" in refusal("stop", name)


@pytest.mark.parametrize("command", [["info"], ["stop"], ["screenshot", "-o", "x.png"]])
def test_no_such_guest(command: list[str]) -> None:
    assert "there is no guest 'nobody'; 'ring3 list' shows" in refusal(command[0], "nobody", *command[1:])
    assert "cannot name a guest" in refusal(command[0], "../x", *command[1:])


def test_a_name_that_is_taken_is_refused(guest: str, tmp_path: Path) -> None:
    assert f"there is a guest named '{guest}' already" in refusal("run", tmp_path / "kernel", "--name", guest)
    assert "cannot name a guest" in refusal("run", tmp_path / "kernel", "--name", "a/b")


def test_two_guests_of_one_kernel_get_different_names(tmp_path: Path) -> None:
    folder = tmp_path / f"twice-{tmp_path.name[-30:]}"
    folder.mkdir()
    running = [Guest(folder) for _ in range(2)]
    try:
        pids = {process.process.pid for process in running}
        found = [json.loads(line) for line in ring3("list", "--json").stdout.splitlines()]
        names = [entry["name"] for entry in found if entry["pid"] in pids]
        assert len(set(names)) == 2 and all(name.startswith("kernel") for name in names)
    finally:
        for guest in running:
            guest.close()


def test_a_guest_that_was_killed_is_not_listed(tmp_path: Path) -> None:
    name = f"killed-{tmp_path.name[-40:]}"
    Guest(tmp_path, "--name", name).close()
    assert name not in ring3("list").stdout.decode()
    assert f"there is no guest '{name}'" in refusal("info", name)


def test_a_stopped_process_does_not_answer(guest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hypervisor.control import client

    pid = info(guest)["pid"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", environment()["XDG_RUNTIME_DIR"])
    monkeypatch.setattr(client, "_PATIENCE_SECONDS", 0.2)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert {"name": guest, "state": "not answering"} in client.everyone()
        with pytest.raises(client.NotAnswering, match="does not answer"):
            client.ask(guest, "info")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert client.ask(guest, "status")["name"] == guest


def test_a_directory_of_somebody_else_is_not_permitted(tmp_path: Path) -> None:
    (tmp_path / "ring3").mkdir()
    (tmp_path / "ring3").chmod(0o777)
    run = subprocess.run([*RING3, "list"], capture_output=True, env=environment() | {"XDG_RUNTIME_DIR": str(tmp_path)},
                         timeout=SECONDS)  # fmt: skip
    assert run.returncode == 2 and b"is open to others than you" in run.stderr
    kernel = guests.write(tmp_path, guests.POWEROFF)
    run = subprocess.run([*RING3, "run", str(kernel)], capture_output=True, stdin=subprocess.DEVNULL,
                         env=environment() | {"XDG_RUNTIME_DIR": str(tmp_path)}, timeout=SECONDS)  # fmt: skip
    assert run.returncode == 0 and run.stderr.startswith(b"ring3: no control socket: "), "the guest runs all the same"


def converse(name: str, *lines: bytes) -> list[Any]:
    """Answers to lines sent by hand."""
    path = f"{environment()['XDG_RUNTIME_DIR']}/ring3/{name}.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        with connection.makefile("rb") as answers:
            for line in lines:
                connection.sendall(line + b"\n")
            return [json.loads(answers.readline()) for _ in lines]


def test_requests_by_hand(guest: str) -> None:
    asked = json.dumps({"version": VERSION, "command": "status"}).encode()
    first, garbage, other, unknown, last = converse(
        guest, asked, b"\xff{", json.dumps({"version": 99, "command": "status"}).encode(),
        json.dumps({"version": VERSION, "command": "dance"}).encode(), asked,
    )  # fmt: skip
    assert first["ok"] and last["ok"] and first["version"] == VERSION and first["result"]["name"] == guest
    assert not garbage["ok"] and "one line of JSON" in garbage["error"]
    assert not other["ok"] and "version 99 is not spoken" in other["error"]
    assert not unknown["ok"] and "no command 'dance'" in unknown["error"]


def test_silent_clients_hold_up_nobody(guest: str) -> None:
    path = f"{environment()['XDG_RUNTIME_DIR']}/ring3/{guest}.sock"
    silent = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    try:
        for connection in silent:
            connection.connect(path)
        before = time.monotonic()
        assert info(guest)["name"] == guest and time.monotonic() - before < SECONDS / 2
    finally:
        for connection in silent:
            connection.close()


def test_a_guest_that_restarts_keeps_its_name(tmp_path: Path) -> None:
    name = f"again-{tmp_path.name[-40:]}"
    running = Guest(tmp_path, "--name", name, code=guests.say(b"up") + guests.RESET)
    try:
        for _ in range(5):
            assert name in ring3("list").stdout.decode()
        assert ring3("stop", name).returncode == 0
        assert running.process.wait(SECONDS) == 0
    finally:
        running.close()
