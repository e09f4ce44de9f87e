"""Names and sockets of running guests: taken once, found again, cleaned up behind the dead."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

import pytest

from hypervisor.control import client
from hypervisor.control.directory import Directory, check_name, location, name_from
from hypervisor.errors import RingError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sockets are."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "ring3"


def test_the_directory_is_ours_alone(home: Path) -> None:
    with Directory():
        assert home.stat().st_mode & 0o777 == 0o700


def test_without_a_runtime_directory_it_is_a_temporary_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert location() == tmp_path / f"ring3-{os.geteuid()}"


def test_another_user_s_runtime_directory_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.stat_result((0o40700, 0, 0, 1, os.geteuid() + 1, 0, 0, 0, 0, 0))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    monkeypatch.setattr("hypervisor.control.directory.os.stat", lambda path: other)
    assert location() == Path(f"/var/tmp/ring3-{os.geteuid()}")


def test_a_directory_open_to_others_is_refused(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    with pytest.raises(RingError, match="open to others"):
        Directory()


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/tmp"), lambda path: path.write_text("")])
def test_what_is_no_directory_is_refused(home: Path, make: object) -> None:
    assert callable(make)
    make(home)
    with pytest.raises(RingError, match="cannot be used"):
        Directory()


def test_a_name_is_taken_once(home: Path) -> None:
    with Directory() as directory:
        name, listener = directory.claim("guest", exactly=True)
        assert name == "guest" and directory.names() == ["guest"]
        with listener, pytest.raises(RingError, match="there is a guest named 'guest' already"):
            directory.claim("guest", exactly=True)
        assert (home / "guest.sock").exists()


def test_a_name_that_is_not_insisted_on_gets_a_number(home: Path) -> None:
    with Directory() as directory:
        taken = [directory.claim("guest", exactly=False) for _ in range(3)]
        assert [name for name, _ in taken] == ["guest", "guest-2", "guest-3"]
        for _, listener in taken:
            listener.close()


def test_the_socket_of_a_dead_guest_is_removed(home: Path) -> None:
    with Directory() as directory:
        directory.claim("guest", exactly=True)[1].close()
        assert directory.names() == ["guest"]
        assert directory.connect("guest") is None
        assert directory.names() == []
        directory.claim("guest", exactly=True)[1].close()
        assert directory.claim("guest", exactly=True)[0] == "guest"


def test_a_long_path_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath(*["a" * 50] * 4)
    deep.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with Directory() as directory:
        name, listener = directory.claim("n" * 60, exactly=True)
        connection = directory.connect(name)
        assert isinstance(connection, socket.socket)
        connection.close()
        listener.close()


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a/b", "a b", "x" * 65, "\u00e4", "..", "a\n"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(RingError, match="cannot name a guest"):
        check_name(name)


@pytest.mark.parametrize(("text", "name"), [("kernel", "kernel"), ("my kernel", "my-kernel"), ("..", "guest"),
                                            ("\u00e4" * 3, "guest"), ("k" * 99, "k" * 60)])  # fmt: skip
def test_any_file_gives_a_name(text: str, name: str) -> None:
    assert name_from(text) == name and check_name(name_from(text))


def test_a_guest_that_ends_while_it_is_asked(home: Path) -> None:
    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.close()

    with Directory() as directory:
        _, listener = directory.claim("guest", exactly=True)
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        with pytest.raises(RingError, match="guest guest has just ended"):
            client.ask("guest", "info")
        thread.join()
        listener.close()


@pytest.mark.parametrize("answer", [b"{}", b"[1]", b"nonsense", b'{"ok": true}'])
def test_an_answer_that_is_none(home: Path, answer: bytes) -> None:
    def talk(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(answer + b"\n")

    with Directory() as directory:
        _, listener = directory.claim("guest", exactly=True)
        thread = threading.Thread(target=talk, args=(listener,))
        thread.start()
        with pytest.raises(RingError, match="is it run by another version"):
            client.ask("guest", "info")
        thread.join()
        listener.close()


def test_a_guest_that_takes_no_connections_holds_up_nobody(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypervisor.control.directory._PATIENCE_SECONDS", 0.2)
    with Directory() as directory, contextlib.ExitStack() as held:
        _, listener = directory.claim("stopped", exactly=True)
        held.enter_context(listener)
        with pytest.raises(client.NotAnswering, match="guest stopped does not answer"):
            for _ in range(100):
                connection = directory.connect("stopped")
                assert connection
                held.enter_context(connection)
        assert client.everyone() == [{"name": "stopped", "state": "not answering"}]
        with pytest.raises(RingError, match="there is a guest named 'stopped' already"):
            directory.claim("stopped", exactly=True)
        name, other = directory.claim("stopped", exactly=False)
        held.enter_context(other)
        assert name == "stopped-2"
