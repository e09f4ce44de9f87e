"""The README's tutorial, followed to the letter: its files, its commands, and what it says they print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.samples import kernels

FILES = {"asm": "boot.S", "c": "kernel.c", "make": "Makefile"}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SESSION = re.compile(r"^    \$ (.*)\n((?:    (?!\$ ).*\n|\n(?=    (?!\$ )))*)", re.MULTILINE)


@pytest.fixture(scope="module")
def readme() -> str:
    return (kernels.ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def folder(readme: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's new folder, with the three files of the tutorial."""
    folder = tmp_path_factory.mktemp("tutorial")
    for language, text in _BLOCK.findall(readme):
        (folder / FILES[language]).write_text(text)
    return folder


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A search path on which `ring3` is this repository's, as after the tutorial's installation."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "ring3"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m hypervisor.cli.main "$@"\n')
    script.chmod(0o755)
    return f"{folder}:{kernels.environment()['PATH']}"


def comparable(text: str) -> list[str]:
    """Lines without what differs from one run, host or compiler to the next: times, addresses, registers, counts."""
    lines = []
    for line in text.replace("\r", "").splitlines():
        line = re.sub(r": [^\[\]]+ \[[0-9a-f ]+\] ", ": ", re.sub(r"0x[0-9a-f]+", "ADDRESS", " ".join(line.split())))
        if "privilege level" not in line:
            line = re.sub(r"\b\d[\d.,]*( ?(ns|us|ms|s|%))?(?=\s|;|,|$)", "N", line)
        lines.append(line)
    return [line for line in lines if line and line != "..."]


def test_the_tutorial_is_true(readme: str, folder: Path, path: str, monitor: Path) -> None:
    session = _SESSION.findall(readme)
    assert [command.split()[0] for command, _ in session].count("ring3") >= 4
    for command, shown in session:
        run = subprocess.run(command, shell=True, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             env=kernels.environment() | {"PATH": path, "COLUMNS": "100"},
                             timeout=kernels.TIMEOUT_SECONDS)
        assert run.returncode == 0 or "left to port" in run.stdout, f"{command}: {run.stdout}{run.stderr}"
        said = comparable(run.stdout)
        for line in comparable(shown):
            assert line in said, f"{command} does not print: {line}\nbut:\n{run.stdout}{run.stderr}"
