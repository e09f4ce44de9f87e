"""Names for addresses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hypervisor.loaders.symbols import Symbols

SOURCE = r"""
.globl _start
.type first, @function
.type second, @function
.text
_start: nop
first: nop; nop; nop; nop
.size first, 4
.skip 12
second: nop
label: nop
.size second, 2
.data
datum: .long 1
.set absolute, 0x100002
"""

SCRIPT = "SECTIONS { . = 0xC0100000; .text : AT(0x100000) { *(.text) } .data : { *(.data) } }"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("symbols")
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "the tests need a C compiler"
    (folder / "a.S").write_text(SOURCE)
    command = [compiler, "-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0x100000,-n,--build-id=none"]
    subprocess.run([*command, "-o", str(folder / "a"), str(folder / "a.S")], check=True, capture_output=True)
    return folder / "a"


@pytest.fixture(scope="module")
def symbols(kernel: Path) -> Symbols:
    return Symbols(kernel)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (0x100000, "_start"),
        (0x100001, "first"),
        (0x100004, "first+0x3"),
        (0x100006, "0x00100006"),
        (0x100011, "second"),
        (0x100012, "label"),
        (0xFFFFF, "0x000fffff"),
    ],
)
def test_describe(symbols: Symbols, address: int, text: str) -> None:
    assert symbols.describe(address) == text


def test_code_that_runs_where_it_was_loaded_is_found(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    (tmp_path / "a.S").write_text(SOURCE)
    (tmp_path / "a.ld").write_text(SCRIPT)
    command = [compiler or "cc", "-m32", "-nostdlib", "-static", "-no-pie", f"-Wl,-T,{tmp_path}/a.ld,--build-id=none"]
    subprocess.run([*command, "-o", str(tmp_path / "a"), str(tmp_path / "a.S")], check=True, capture_output=True)
    high = Symbols(tmp_path / "a")
    assert high.describe(0xC010_0002) == high.describe(0x10_0002) == "first+0x1"


def test_a_kernel_that_was_moved(kernel: Path) -> None:
    moved = Symbols(kernel, 0x30_0000)
    assert moved.describe(0x40_0001) == "first" and moved.describe(0x10_0001) == "0x00100001"
    assert moved.describe_return(0x40_0005) == "first+0x4"


def test_data_and_absolute_symbols_are_left_out(symbols: Symbols) -> None:
    assert len(symbols) == 4


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"text"])
def test_other_files_have_no_symbols(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert len(Symbols(path)) == 0
    assert len(Symbols(tmp_path / "missing")) == 0
