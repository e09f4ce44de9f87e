"""What `pip install .` puts on a machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOMS = ("native", "hypercalls", "porter", "hypervisor")
COMMANDS = [f"ring3-0.1.0.data/scripts/ring3{name}" for name in ("", "-cc", "-c++", "-as", "-nasm")]


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that what earlier builds left here cannot slip in."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for room in ROOMS:
        built = shutil.ignore_patterns("__pycache__", "ring3-monitor", "ring3-as")
        shutil.copytree(root / room, source / room, ignore=built)
    out = tmp_path_factory.mktemp("wheel")
    run = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
                          "--no-index", "-w", str(out), str(source)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (path,) = out.iterdir()
    return path


def test_tagged_for_this_platform_and_any_python_3(wheel: Path) -> None:
    assert wheel.name.endswith("linux_x86_64.whl") and "-py3-none-" in wheel.name


def test_holds_what_is_not_python(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("hypervisor/monitor/ring3-monitor").startswith(b"\x7fELF")
        for program in ("hypervisor/monitor/ring3-monitor", "porter/stage/ring3-as", *COMMANDS):
            assert archive.getinfo(program).external_attr >> 16 & 0o111, f"{program} is not executable"
    grammars = {str(path.relative_to(root)) for path in root.glob("porter/grammars/*.lark")}
    generated = {str(path.relative_to(root)) for path in root.glob("hypercalls/generated/*")}
    assert grammars and grammars <= names
    assert generated <= names


def test_holds_only_the_rooms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == set(ROOMS)


@pytest.mark.parametrize("command", [["ring3", "cc", "gcc"], ["ring3-cc", "gcc"], ["ring3-cc"], ["python"]])
def test_installed_it_ports_what_a_compiler_assembles(wheel: Path, tmp_path: Path, command: list[str]) -> None:
    """From a directory that is no environment of its own, and by Python alone."""
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site),
                    str(wheel)], check=True, capture_output=True)
    source = tmp_path / "x.c"
    source.write_text('void f(void) { asm volatile("cli"); }\n')
    if command == ["python"]:
        start = [sys.executable, "-c", "from porter.wrapper import cc_main; cc_main()", "gcc"]
    else:
        start = [str(site / "bin" / command[0]), *command[1:]]
    environment = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for _ in range(2):  # the second time without Python
        run = subprocess.run([*start, "-m32", "-c", str(source)], cwd=tmp_path, env=environment, capture_output=True,
                             text=True)
        assert run.returncode == 0, run.stderr
        listing = subprocess.run(["objdump", "-d", str(tmp_path / "x.o")], check=True, capture_output=True, text=True)
        assert "movb" in listing.stdout and "cli" not in listing.stdout.split()


def test_the_other_commands_are_there_too(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(tmp_path),
                    str(wheel)], check=True, capture_output=True)
    run = subprocess.run([str(tmp_path / "bin" / "ring3"), "abi"], env={**os.environ, "PYTHONPATH": str(tmp_path)},
                         capture_output=True, text=True)
    assert run.returncode == 0 and "hypercall" in run.stdout
