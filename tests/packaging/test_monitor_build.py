"""Compiling the monitor: when it happens, what it makes, and what a user reads when it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from hypervisor.errors import RingError
from hypervisor.monitor import build as monitor_build
from native import build as native_build


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A monitor of one file, in place of the real one, so that builds are quick and can be broken."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "main.c").write_text("void _start(void) { __builtin_trap(); }\n")
    (folder / "monitor.ld").write_text((monitor_build.SOURCES / "monitor.ld").read_text())
    monkeypatch.setattr(monitor_build, "SOURCES", folder)
    return folder


def executable(folder: Path, name: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)


def test_monitor_is_static_64_bit_and_above_the_guest(monitor: Path) -> None:
    with monitor.open("rb") as file:
        elf = ELFFile(file)
        assert elf.elfclass == 64 and elf["e_type"] == "ET_EXEC"
        kinds = [segment["p_type"] for segment in elf.iter_segments()]
        assert "PT_INTERP" not in kinds and "PT_DYNAMIC" not in kinds
        loads = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
        assert min(segment["p_vaddr"] for segment in loads) >= 1 << 32
        assert not any(segment["p_flags"] & 3 == 3 for segment in loads), "writable and executable"


def test_compiles_only_when_something_changed(sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "ring3-monitor"
    monitor_build.build(out)
    first = out.stat().st_ino
    monitor_build.build(out)
    assert out.stat().st_ino == first
    later = out.stat().st_mtime + 1
    os.utime(sources / "main.c", (later, later))
    monitor_build.build(out)
    assert out.stat().st_ino != first


def test_failure_names_the_compiler_and_leaves_nothing(sources: Path, tmp_path: Path) -> None:
    (sources / "main.c").write_text("this is not C\n")
    with pytest.raises(RingError, match=r"compiling the monitor failed \(exit status 1\)"):
        monitor_build.build(tmp_path / "out" / "ring3-monitor")
    assert list((tmp_path / "out").iterdir()) == []


def test_failure_keeps_the_old_monitor(sources: Path, tmp_path: Path) -> None:
    out = monitor_build.build(tmp_path / "ring3-monitor")
    before = out.read_bytes()
    (sources / "main.c").write_text("this is not C\n")
    later = out.stat().st_mtime + 1
    os.utime(sources / "main.c", (later, later))
    with pytest.raises(RingError):
        monitor_build.build(out)
    assert out.read_bytes() == before


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(native_build.BuildError, match=r"no C compiler found \(looked for cc, gcc, clang\).*install"):
        native_build.compiler()
    monkeypatch.setenv("CC", "mycc -fast")
    with pytest.raises(native_build.BuildError, match=r"looked for \$CC \(mycc\)"):
        native_build.compiler()


def test_compiler_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    executable(tmp_path, "clang")
    assert native_build.compiler() == ["clang"]
    executable(tmp_path, "gcc")
    assert native_build.compiler() == ["gcc"]
    executable(tmp_path, "ccache")
    monkeypatch.setenv("CC", "ccache gcc")
    assert native_build.compiler() == ["ccache", "gcc"]


def test_other_processors_are_refused(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(RingError, match="cannot build the monitor for aarch64"):
        monitor_build.build(tmp_path / "ring3-monitor")
