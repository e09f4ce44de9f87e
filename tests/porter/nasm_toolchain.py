"""What tests of NASM sources need: porting a text alone, and assembling where NASM is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from porter.nasm_program import Program
from porter.nasm_text import NasmPorted, macro_text, port_program

needs_nasm = pytest.mark.skipif(shutil.which("nasm") is None, reason="NASM is not installed")


def port(text: str, bits: str = "32", **files: str) -> NasmPorted:
    """Port a text that may include `files`, which are named without their suffix ``.inc``."""
    included = {f"{name}.inc": content for name, content in files.items()}
    return port_program(Program("x.asm", text, bits,
                                lambda name, _: (name, included[name]) if name in included else None))


def ported_text(text: str, bits: str = "32", **files: str) -> str:
    """What the text itself becomes."""
    ported = port(text, bits, **files)
    return ported.text(ported.program.root)


def assemble(text: str, directory: Path, name: str = "test", *options: str) -> Path:
    """Assemble i386 text with NASM. Fails the test with NASM's messages, warnings too."""
    source, target = directory / f"{name}.asm", directory / f"{name}.o"
    source.write_text(text)
    run = subprocess.run(["nasm", "-f", "elf32", *options, "-o", str(target), str(source)], text=True,
                         capture_output=True)
    assert run.returncode == 0 and not run.stderr, f"{run.stderr}\nin:\n{text[-2000:]}"
    return target


def assemble_ported(text: str, directory: Path, name: str = "ported") -> Path:
    """Assemble ported text, macros first."""
    (directory / "ring3.nasm").write_text(macro_text())
    return assemble(text, directory, name, "-P", str(directory / "ring3.nasm"))


def code(target: Path) -> bytes:
    """The bytes of an object's text."""
    raw = target.with_suffix(".bin")
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", str(target), str(raw)], check=True)
    return raw.read_bytes()
