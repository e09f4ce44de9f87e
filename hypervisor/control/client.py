"""Asking a running guest through its control socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

from hypervisor.control import VERSION
from hypervisor.control.directory import Directory, NotAnswering, check_name
from hypervisor.errors import RingError

_PATIENCE_SECONDS = 10.0  # for an answer, and for a guest to end


def ask(name: str, command: str, arguments: dict[str, Any] | None = None, fds: Sequence[int] = ()) -> dict[str, Any]:
    """What guest `name` answers to `command` with `arguments`, and descriptors that it then has, too.

    Raises RingError where there is no such guest or no answer.
    """
    with Directory() as directory:
        return _ask(directory, check_name(name), command, arguments or {}, fds)


def stop(name: str) -> None:
    """End a guest and wait until its process has ended. Raises RingError where it does not."""
    with Directory() as directory:
        _ask(directory, check_name(name), "stop", wait=True)


def everyone() -> list[dict[str, Any]]:
    """The status of every running guest; of one that does not answer only its name and state."""
    found = []
    with Directory() as directory:
        for name in directory.names():
            try:
                found.append(_ask(directory, name, "status"))
            except NotAnswering:
                found.append({"name": name, "state": "not answering"})
            except RingError:
                continue  # it has ended
    return found


def _ask(directory: Directory, name: str, command: str, arguments: dict[str, Any] | None = None,
         fds: Sequence[int] = (), wait: bool = False) -> dict[str, Any]:  # fmt: skip
    connection = directory.connect(name)
    if connection is None:
        raise RingError(f"there is no guest '{name}'; 'ring3 list' shows those that run")
    with connection, connection.makefile("rb") as lines:
        connection.settimeout(_PATIENCE_SECONDS)
        try:
            request = {"version": VERSION, "command": command, "arguments": arguments or {}}
            line = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(connection, [line], list(fds))
            if sent < len(line):  # sending nothing to one who has answered and gone would be an error
                connection.sendall(line[sent:])
            line = lines.readline()
        except TimeoutError:
            raise NotAnswering(f"guest {name} does not answer; is its ring3 stopped (Ctrl-Z)?") from None
        except OSError:
            line = b""
        if not line:
            raise RingError(f"guest {name} has just ended")
        result = _result(name, line)
        if wait:
            _await_end(connection, name, result)
    return result


def _result(name: str, line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
        if not answer["ok"]:
            raise RingError(f"guest {name} refuses: {answer['error']}")
        result: dict[str, Any] = answer["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise RingError(f"guest {name} answers what this ring3 does not understand; "
                        "is it run by another version?") from error
    return result


def _await_end(connection: socket.socket, name: str, result: dict[str, Any]) -> None:
    try:
        connection.recv(1)
    except TimeoutError:
        raise RingError(f"guest {name} does not end; kill process {result.get('pid')}") from None
    except OSError:
        return
