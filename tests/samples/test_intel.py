"""The sample kernels with inline assembly in Intel syntax, through both doors: they boot as they do in AT&T syntax."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from porter.binary import survey
from tests.samples import intel, kernels

COMPILERS = ["gcc", pytest.param("clang", marks=pytest.mark.skipif(
    shutil.which("clang") is None, reason="Clang is not installed"))]
# How the templates are written, and how they are compiled.
WRITTEN = [(False, "intel"), (True, "intel"), (True, "att")]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("sample", intel.SAMPLES)
@pytest.mark.parametrize(("both", "dialect"), WRITTEN)
def test_through_the_wrapper(compiler: str, sample: str, both: bool, dialect: str, tmp_path: Path,
                             monitor: Path) -> None:
    sources = intel.copy(tmp_path / "sources", both)
    option = [f"-masm={dialect}"] if dialect == "intel" or compiler == "gcc" else []
    kernel = kernels.make_with(sample, tmp_path / "build", [*kernels.RING3, "cc", compiler, *option], sources)
    assert not survey(kernel).left
    assert kernels.run_in_ring3(kernel) == kernels.transcript(sample).read_text()


@pytest.mark.parametrize("sample", intel.SAMPLES)
@pytest.mark.parametrize(("both", "dialect"), WRITTEN)
def test_through_the_source_tree(sample: str, both: bool, dialect: str, tmp_path: Path, monitor: Path) -> None:
    sources = intel.copy(tmp_path / "sources", both)
    ported = kernels.port_tree(tmp_path / "ported", sources)
    kernel = kernels.make_with(sample, tmp_path / "build", ["gcc", f"-masm={dialect}"], ported)
    assert not survey(kernel).left
    assert kernels.run_in_ring3(kernel) == kernels.transcript(sample).read_text()
