"""The sample kernels say the same on a bare PC and, ported, in ring3."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.samples import kernels, play

pytestmark = pytest.mark.parametrize("sample", kernels.SAMPLES)
Build = Callable[..., Path]


def on_pc(sample: str, sample_kernel: Build) -> str:
    """What an emulated PC prints now, or printed when the transcript was recorded."""
    if kernels.have_pc():
        return play.on_pc(sample, sample_kernel(sample, ported=False))
    return kernels.transcript(sample).read_text()


def test_transcript_is_what_a_pc_prints(sample: str, sample_kernel: Build) -> None:
    assert on_pc(sample, sample_kernel) == kernels.transcript(sample).read_text()


def test_ported_prints_the_same(sample: str, sample_kernel: Build, monitor: Path) -> None:
    assert play.in_ring3(sample, sample_kernel(sample, ported=True)) == on_pc(sample, sample_kernel)


def test_ported_prints_the_same_where_address_0_cannot_be_mapped(sample: str, sample_kernel: Build,
                                                                 monitor: Path) -> None:
    printed = play.in_ring3(sample, sample_kernel(sample, ported=True), "--slide")
    assert printed == kernels.transcript(sample).read_text()


def test_ported_source_prints_the_same(sample: str, sample_kernel: Build, tmp_path: Path, monitor: Path) -> None:
    """The other way in: a ported copy of the sources, built by the plain compiler."""
    kernel = kernels.make(sample, tmp_path / "build", ported=False, tree=kernels.port_tree(tmp_path / "ported"))
    assert play.in_ring3(sample, kernel) == on_pc(sample, sample_kernel)
    assert check(kernel).returncode == 0


@pytest.mark.parametrize(("stripped", "options"), [
    (False, ("--port",)), (False, ("--unported",)), (True, ("--port", "--guesses")), (True, ("--unported",)),
])  # fmt: skip
def test_the_binary_prints_the_same(sample: str, sample_kernel: Build, tmp_path: Path, monitor: Path, stripped: bool,
                                    options: tuple[str, ...]) -> None:
    """Without its source. micro's programs are ported, for their `sysenter` would enter the host."""
    built = sample_kernel(sample, ported=False)
    kernel = shutil.copytree(built.parent, tmp_path / "binary") / built.name  # with modules and disk beside it
    if sample == "micro":
        shutil.copytree(sample_kernel(sample, ported=True).parent, kernel.parent, dirs_exist_ok=True)
        shutil.copy(built, kernel)
    if stripped:
        subprocess.run(["strip", kernel], check=True)
    assert play.in_ring3(sample, kernel, *options) == kernels.transcript(sample).read_text()


def test_ported_twice_at_once(sample: str, sample_kernel: Build, monitor: Path) -> None:
    """Guests share nothing: two of one kernel run side by side."""
    kernel = sample_kernel(sample, ported=True)
    with ThreadPoolExecutor() as pool:
        guests = [pool.submit(play.in_ring3, sample, kernel) for _ in range(2)]
    assert [guest.result() for guest in guests] == 2 * [kernels.transcript(sample).read_text()]


def check(kernel: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*kernels.RING3, "check", str(kernel)], capture_output=True, text=True,
                          env=kernels.environment(), timeout=kernels.TIMEOUT_SECONDS)


def test_check_finds_unported_instructions(sample: str, sample_kernel: Build) -> None:
    found = check(sample_kernel(sample, ported=False))
    assert found.returncode == 1, found.stderr
    for instruction in ("cli", "hlt", "lgdt", "lidt", "iret", "popf", "in", "out"):
        assert instruction in found.stdout


def test_check_finds_nothing_once_ported(sample: str, sample_kernel: Build) -> None:
    found = check(sample_kernel(sample, ported=True))
    assert found.returncode == 0, found.stdout + found.stderr
