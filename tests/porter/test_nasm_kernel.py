"""A kernel in NASM, of several files: what a PC prints of it, it prints ported, as an ELF file and as a flat one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from porter import tree
from porter.binary import survey
from tests.porter.nasm_toolchain import needs_nasm
from tests.samples import kernels

pytestmark = needs_nasm

HERE = Path(__file__).resolve().parent / "nasm_kernel"
TRANSCRIPT = HERE / "transcript.txt"
LINK = ("ld", "-m", "elf_i386", "-n", "--no-warn-rwx-segments", "-Ttext=0x100000", "-e", "start")


def build(format: str, folder: Path, *assembler: str, sources: Path = HERE) -> tuple[Path, str]:
    """The kernel in the format, and what the assembler told."""
    target, made = folder / "kernel", folder / "kernel.o"
    run = subprocess.run([*assembler, "-f", format, "kernel.asm", "-o", str(made if format == "elf32" else target)],
                         cwd=sources, env=kernels.environment(), text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    if format == "elf32":
        subprocess.run([*LINK, "-o", str(target), str(made)], check=True)
    return target, run.stderr


@pytest.mark.skipif(not kernels.have_pc(), reason="QEMU is not installed: the transcript stands for it")
@pytest.mark.parametrize("format", ["elf32", "bin"])
def test_the_transcript_is_what_a_pc_prints(format: str, tmp_path: Path) -> None:
    kernel, _ = build(format, tmp_path, "nasm")
    assert kernels.run_on_pc(kernel) == TRANSCRIPT.read_text()


@pytest.mark.parametrize("format", ["elf32", "bin"])
def test_ported_prints_the_same(format: str, tmp_path: Path, monitor: Path) -> None:
    kernel, told = build(format, tmp_path, *kernels.RING3, "nasm")
    assert [line.partition(": ring3: ")[0] for line in told.splitlines()] == ["processors.inc:7", "processors.inc:19"]
    assert kernels.run_in_ring3(kernel) == TRANSCRIPT.read_text()


def test_nothing_is_left_in_the_ported_kernel(tmp_path: Path) -> None:
    kernel, _ = build("elf32", tmp_path, *kernels.RING3, "nasm")
    found = survey(kernel)
    assert not found.left
    expected = ("cli sti safe_halt halt pushf popf lgdt lidt ljmp lcall lcall_mem lret load_ss store_cs int read_cr0 "
                "write_cr3 clts lar lsl sgdt sidt in8 out8 out8_imm out16 rep_outs8")
    assert set(expected.split()) <= set(found.ported)
    assert len(found.real_mode) == 1 and len(found.after_real_mode) == 1


@pytest.mark.parametrize("format", ["elf32", "bin"])
def test_ported_as_a_source_tree_it_prints_the_same(format: str, tmp_path: Path, monitor: Path) -> None:
    assert tree.main([str(HERE), "-o", str(tmp_path / "out")]) == 0
    kernel, told = build(format, tmp_path, "nasm", sources=tmp_path / "out")
    assert not told
    assert format == "bin" or not survey(kernel).left
    assert kernels.run_in_ring3(kernel) == TRANSCRIPT.read_text()
