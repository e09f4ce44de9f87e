"""A whole kernel in Intel syntax: what a PC prints of it, it prints ported through either door."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from porter.binary import survey
from tests.samples import kernels

HERE = Path(__file__).resolve().parent / "kernels"
FLAGS = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-n,--no-warn-rwx-segments",
         f"-Wl,-T,{kernels.SOURCES / 'common/kernel.ld'}"]


def build(source: Path, target: Path, *compiler: str) -> Path:
    subprocess.run([*compiler, *FLAGS, "-o", str(target), str(source)], check=True, env=kernels.environment())
    return target


@pytest.mark.skipif(not kernels.have_pc(), reason="QEMU is not installed: the transcript stands for it")
def test_the_transcript_is_what_a_pc_prints(tmp_path: Path) -> None:
    assert kernels.run_on_pc(build(HERE / "intel.S", tmp_path / "k.elf", "gcc")) == (HERE / "intel.txt").read_text()


@pytest.mark.parametrize("door", ["wrapper", "tree"])
def test_ported_prints_the_same(door: str, tmp_path: Path, monitor: Path) -> None:
    if door == "wrapper":
        kernel = build(HERE / "intel.S", tmp_path / "k.elf", *kernels.RING3, "cc", "gcc")
    else:
        kernel = build(kernels.port_tree(tmp_path / "out", HERE) / "intel.S", tmp_path / "k.elf", "gcc")
    found = survey(kernel)
    assert not found.left
    expected = ("lgdt lidt ltr lldt write_cr0 write_cr3 read_cr0 load_fs ljmp ljmp_mem lcall_mem iret int les lar lsl "
                "verw rep_outs8 rep_ins8 pushf pushf16 popf safe_halt write_dr1 invlpg clts smsw sgdt sidt str sldt")
    assert set(expected.split()) <= set(found.ported)
    assert kernels.run_in_ring3(kernel) == (HERE / "intel.txt").read_text()
