"""Kernels of each protocol, run: what they find at their entry is what their protocol promises."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from hypercalls import gas
from hypervisor.loaders.handover import Protocol
from hypervisor.memory_map import MIB
from native.build import compiler
from tests.hypervisor.engine import guests
from tests.hypervisor.loaders.test_linux import BzImage

HERE = Path(__file__).resolve().parent
FLAT = {"code": 0x00CF_9B00, "data": 0x00CF_9300}  # 4 GiB, ring 0, 32 bits


@pytest.fixture(params=["ported", "unported"])
def ported(request: pytest.FixtureRequest, monitor: Path) -> bool:
    return bool(request.param == "ported")


def assemble(folder: Path, ported: bool, *definitions: str) -> Path:
    """The kernel, linked at 1 MiB."""
    macros = gas.macros() if ported else (guests.HERE / "native.inc").read_text()
    source, kernel = folder / "entry.s", folder / "entry.elf"
    symbols = "".join(f".set {text}\n" for text in definitions)
    source.write_text(f"{macros}\n{symbols}{(HERE / 'entry.S').read_text()}")
    subprocess.run([*compiler(), *guests.FLAGS, "-o", str(kernel), str(source)], check=True)
    return kernel


def binary(kernel: Path) -> bytes:
    """What the kernel's segments hold, from 1 MiB on."""
    flat = kernel.with_suffix(".bin")
    subprocess.run(["objcopy", "-O", "binary", str(kernel), str(flat)], check=True)
    return flat.read_bytes()


def run(kernel: Path, elf: Path, ported: bool, **config: Any) -> dict[str, int]:
    """What the guest says, checked for what all protocols promise."""
    traps = () if ported else guests.silent_instructions(elf)
    result = guests.run(kernel, traps=traps, memory=8 * MIB, **config)
    assert result.outcome.cause == "debug exit with value 0x0", (result.outcome, result.text)
    said = result.items
    assert said["cr0"] & 0x8000_0001 == 1, "protected mode, no paging"
    assert not said["flags"] & 0x2_0200, "interrupts off, no virtual 8086 mode"
    assert {name: said[name] for name in FLAT} == FLAT
    assert len({said[name] for name in ("ds", "es", "ss", "fs", "gs")}) == 1
    return said


def test_multiboot(tmp_path: Path, ported: bool) -> None:
    kernel = assemble(tmp_path, ported, "HEADER,1")
    said = run(kernel, kernel, ported)
    assert said["eax"] == 0x2BAD_B002 and said["told"] >> 12 & 1
    assert (said["framebuffer"], said["pixel"]) == (8 * MIB, 0x00FF_8000)


def test_multiboot2(tmp_path: Path, ported: bool) -> None:
    kernel = assemble(tmp_path, ported, "HEADER,2")
    said = run(kernel, kernel, ported)
    assert said["eax"] == 0x36D7_6289 and 100 < said["told"] < 4096 and said["ebx"] % 8 == 0


def test_elf(tmp_path: Path, ported: bool) -> None:
    kernel = assemble(tmp_path, ported, "HEADER,0")
    said = run(kernel, kernel, ported)
    assert {said[name] for name in ("eax", "ebx", "ecx", "esi", "edi", "ebp")} == {0}


def test_vmlinux(tmp_path: Path, ported: bool) -> None:
    kernel = assemble(tmp_path, ported, "HEADER,0", "LINUX,1")
    said = run(kernel, kernel, ported, protocol=Protocol.LINUX)
    assert (said["cs"], said["ds"], said["gdt_size"]) == (0x10, 0x18, 32)
    assert {said[name] for name in ("ebx", "ebp", "edi")} == {0}
    assert said["told"] == int.from_bytes(b"HdrS", "little")


def test_bzimage(tmp_path: Path, ported: bool) -> None:
    elf = assemble(tmp_path, ported, "HEADER,0", "LINUX,1")
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(BzImage(code=binary(elf), prefers=MIB).build())
    said = run(kernel, elf, ported)
    assert (said["cs"], said["ds"]) == (0x10, 0x18)
    assert {said[name] for name in ("ebx", "ebp", "edi")} == {0}
    assert said["told"] == int.from_bytes(b"HdrS", "little")


def test_flat(tmp_path: Path, ported: bool) -> None:
    elf = assemble(tmp_path, ported, "HEADER,0")
    kernel = tmp_path / "flat"
    kernel.write_bytes(binary(elf) + b"more")
    said = run(kernel, elf, ported, load_at=MIB)
    assert {said[name] for name in ("eax", "ebx", "ecx", "esi", "edi", "ebp")} == {0}
