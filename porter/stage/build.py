"""Compiles the program that stands in for Python in most of a build's calls (see stage.h)."""

from __future__ import annotations

import sys
from pathlib import Path

from native.build import BuildError, Program

SOURCES = Path(__file__).resolve().parent
STAGE = SOURCES / "ring3-as"
COMMANDS = ("ring3", "ring3-cc", "ring3-c++", "ring3-as", "ring3-nasm")  # the same program under each of these names

FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-m64")
PREFERRED = ("-static",)  # saves half a millisecond a start, but not every host has a static libc


def program() -> Program:
    """The program, as the sources are now."""
    return Program("the assembler stage", Path(__file__).resolve(), SOURCES, FLAGS, PREFERRED)


def build(out: Path | None = None) -> Path:
    """Compile the program to ``out`` (default: beside its sources) unless that is up to date. Raises BuildError."""
    return program().build(out or STAGE)


if __name__ == "__main__":
    try:
        print(build())
    except BuildError as error:
        sys.exit(f"ring3: {error}")
