"""``ring3 port KERNEL --profile``: what has run is code, whatever else proves it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hypervisor.cli.commands import ring3

pytestmark = pytest.mark.usefixtures("monitor")

Samples = Callable[..., Path]


@pytest.fixture(scope="module")
def count(sample_kernel: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stripped kernel, a part of which stands behind a `ud2` that its handler comes back from."""
    kernel = tmp_path_factory.mktemp("ran") / "count.elf"
    subprocess.run(["strip", "-o", kernel, sample_kernel("count", ported=False)], check=True)
    return kernel


def coverage(kernel: Path, path: Path, *options: str) -> tuple[bytes, list[dict[str, object]]]:
    """What the kernel says, and of its sites those that have run."""
    run = ring3("run", kernel, *options, "--coverage", path)
    assert run.returncode == 0, run.stderr
    lines = map(json.loads, ring3("coverage", path, "--json").stdout.splitlines())
    return run.stdout, [line for line in lines if line["kind"] == "site" and line["count"]]


def trapping(sites: list[dict[str, object]]) -> set[object]:
    return {site["address"] for site in sites if site["form"] == "trap"}


@pytest.mark.parametrize("way", ["--port", "--unported", "ported", "trace"])
def test_what_ran_does_not_trap_again(count: Path, tmp_path: Path, way: str) -> None:
    """By any way to run the kernel: unported, ported in memory, as a port of it, and by a trace instead of coverage."""
    said, sites = coverage(count, tmp_path / "first.cov", "--port")
    assert len(trapping(sites)) >= 10
    profile = tmp_path / "profile"
    if way == "ported":
        ring3("port", count, "-o", tmp_path / "first.elf")
        coverage(tmp_path / "first.elf", profile)
    elif way == "trace":
        assert ring3("run", count, "--port", "--trace", profile).returncode == 0
    else:
        coverage(count, profile, way)
    port = ring3("port", count, "--profile", profile, "-o", tmp_path / "out.elf")
    assert port.returncode == 0, "nothing is refused any more"
    again, sites = coverage(tmp_path / "out.elf", tmp_path / "second.cov")
    assert again == said
    assert not trapping(sites) and len(sites) > 80


def test_a_profile_of_another_kernel_is_refused(count: Path, sample_kernel: Samples, tmp_path: Path) -> None:
    other, profile, out = sample_kernel("hello", ported=False), tmp_path / "profile", tmp_path / "out.elf"
    coverage(other, profile, "--port")
    run = ring3("port", count, "--profile", profile, "-o", out)
    assert run.returncode == 2 and b"the profile is of another kernel" in run.stderr
    assert str(other).encode() in run.stderr and not out.exists()


def test_a_kernel_that_has_changed_is_refused(count: Path, tmp_path: Path) -> None:
    kernel, profile, out = tmp_path / "count.elf", tmp_path / "profile", tmp_path / "out.elf"
    kernel.write_bytes(count.read_bytes())
    coverage(kernel, profile, "--port")
    kernel.write_bytes(count.read_bytes() + b"changed")
    run = ring3("port", kernel, "--profile", profile, "-o", out)
    assert run.returncode == 2 and b"has changed since" in run.stderr and not out.exists()


def test_there_is_none_of_programs(count: Path, tmp_path: Path) -> None:
    run = ring3("port", count, "--user", "--profile", tmp_path / "profile", "-o", tmp_path / "out")
    assert run.returncode == 2 and b"--profile tells of kernels" in run.stderr
