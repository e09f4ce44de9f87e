"""``ring3 cc clang``: Clang assembles by itself unless told otherwise."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from porter.binary import survey
from tests.porter.test_wrapper import FLAGS, Bench
from tests.samples.kernels import RING3, SAMPLES, SOURCES, environment

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="Clang is not installed")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("sample", SAMPLES)
def test_sample_kernels(sample: str, tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "-C", str(SOURCES / sample), f"CC={' '.join(RING3)} cc clang", f"OUT={tmp_path}"],
                   check=True, capture_output=True, env=environment())
    found = survey(tmp_path / f"{sample}.elf")
    assert not found.left
    assert found.ported["iret"] and found.ported["out8"]


@pytest.mark.parametrize("source", ["a.c", "b.S", "c.s"])
def test_by_another_name(bench: Bench, source: str) -> None:
    """What a compiler is, it says itself: `cc` is Clang on some machines."""
    (bench.directory / "kcc").symlink_to(shutil.which("clang") or "")
    run = bench.run("cc", "./kcc", *FLAGS, "-c", source, "-o", "x.o")
    assert run.returncode == 0, run.stderr
    assert bench.is_ported("x.o")


def test_what_clang_assembles_by_itself_is_what_is_ported(bench: Bench) -> None:
    """Nothing gets past the wrapper, and nothing is ported twice."""
    subprocess.run(["clang", *FLAGS, "-c", "a.c", "-o", "plain.o"], cwd=bench.directory, check=True)
    assert bench.run("cc", "clang", *FLAGS, "-c", "a.c", "-o", "x.o").returncode == 0
    before, after = (survey(bench.directory / name) for name in ("plain.o", "x.o"))
    assert [site.text for site in before.left] == ["cli"] * after.ported["cli"]
    assert not after.left
