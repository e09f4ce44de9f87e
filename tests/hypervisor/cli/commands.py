"""Running the ``ring3`` command as a user does."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.samples.kernels import RING3, environment

TIMEOUT_SECONDS = 30


def ring3(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one command line to its end."""
    command = [*RING3, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment(), timeout=TIMEOUT_SECONDS)


def refusal(*arguments: str | Path) -> str:
    """The one-line message with which a command line is refused."""
    run = ring3(*arguments)
    message = run.stderr.decode()
    assert run.returncode == 2, (run.returncode, run.stdout, message)
    assert message.startswith("ring3: ") and message.count("\n") == 1 and message.endswith("\n"), message
    assert run.stdout == b""
    return message
