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


def without_figures(text: str) -> list[str]:
    """Lines that can be compared: no indentation or ends, and no figure that differs from run to run."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in text.replace("\r", "").splitlines()]
    return [line for line in lines if line]


def test_the_tutorial_is_true(readme: str, folder: Path, path: str, monitor: Path) -> None:
    session = _SESSION.findall(readme)
    assert [command.split()[0] for command, _ in session].count("ring3") >= 4
    for command, shown in session:
        run = subprocess.run(command, shell=True, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             env=kernels.environment() | {"PATH": path, "COLUMNS": "100"},
                             timeout=kernels.TIMEOUT_SECONDS)
        said = without_figures(run.stdout)
        for line in without_figures(shown):
            assert line in said, f"{command} does not print: {line}\nbut:\n{run.stdout}{run.stderr}"
