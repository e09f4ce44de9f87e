"""What `pip install .` puts on a machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOMS = ("hypercalls", "porter", "hypervisor")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that what earlier builds left here cannot slip in."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for room in ROOMS:
        shutil.copytree(root / room, source / room, ignore=shutil.ignore_patterns("__pycache__", "ring3-monitor"))
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
        for program in ("hypervisor/monitor/ring3-monitor", "porter/stage/as"):
            assert archive.getinfo(program).external_attr >> 16 & 0o111, f"{program} is not executable"
    grammars = {str(path.relative_to(root)) for path in root.glob("porter/grammars/*.lark")}
    generated = {str(path.relative_to(root)) for path in root.glob("hypercalls/generated/*")}
    assert grammars and grammars <= names
    assert generated <= names


def test_holds_only_the_three_rooms(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(ROOMS)


def test_installed_it_ports_what_a_compiler_assembles(wheel: Path, tmp_path: Path) -> None:
    """The compiler runs our assembler stage as a program: its file must arrive executable."""
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site),
                    str(wheel)], check=True, capture_output=True)
    source = tmp_path / "x.c"
    source.write_text('void f(void) { asm volatile("cli"); }\n')
    run = subprocess.run([sys.executable, "-c", "from porter.wrapper import cc_main; cc_main()", "gcc", "-m32", "-c",
                          str(source)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)},
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    listing = subprocess.run(["objdump", "-d", str(tmp_path / "x.o")], check=True, capture_output=True, text=True)
    assert "movb" in listing.stdout and "cli" not in listing.stdout.split()
