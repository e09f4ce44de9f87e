"""The ``ring3 check`` command: report, JSON, exit status, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter.check import main
from tests.porter import compiled

SOURCE = """
.globl start, tail
start:  cli
        ud2
tail:   nop
        lidt (%eax)
        pushf
        ret
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    return compiled.kernel(tmp_path, SOURCE, "-g", name="boot.S")


def test_report_names_place_and_consequence(kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(kernel)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "0x00100000 boot.S:3: cli  [fa]  start  interrupt flag: traps and is emulated, slow (#GP: the host keeps IF)"
    )
    assert lines[1].startswith("0x00100004 boot.S:6: lidt [eax]  [0f 01 18]  tail+0x1  descriptor tables: traps")
    assert "flags: runs silently wrong: must be ported" in lines[2]
    assert lines[3] == (
        f"{kernel}: 3 left to port (2 trap and are emulated, slow; 1 runs silently wrong);"
        " not listed: 1 that rightly stay (--all)"
    )
    assert len(lines) == 4


def test_all_lists_what_stays(kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--all", str(kernel)]) == 1
    assert "ud2  [0f 0b]  start+0x1  undefined: needs no porting" in capsys.readouterr().out


def test_nothing_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled.kernel(tmp_path, ".globl start\nstart: rdtsc\nint3\nret\n")
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: nothing left to port; not listed: 2 that rightly stay (--all)\n"


def test_table_on_a_terminal(kernel: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    assert main([str(kernel)]) == 1
    out = capsys.readouterr().out
    assert "lidt [eax]" in out
    assert "\x1b[" in out
    assert "boot.S:6" in out


def test_json(kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "report.json"
    assert main([str(kernel), "--json", str(target)]) == 1
    report = json.loads(target.read_text())
    assert report["totals"] == {"ported": 0, "left": 3, "stays": 1, "refused": 0, "unreached": 0}
    assert report["sites"][2] == {
        "input": str(kernel), "address": 0x100007, "section": ".text", "bytes": "9c", "text": "pushfd",
        "symbol": "tail", "offset": 4, "file": "boot.S", "line": 7, "column": None, "class": "flags",
        "treatment": "left", "macro": "", "cost": "none", "ring3": "silently wrong",
        "reason": "shows the host's IF and IOPL", "remedy": report["sites"][0]["remedy"], "evidence": "symbol",
        "physical": 0x100007, "file_offset": report["sites"][0]["file_offset"] + 7,
    }
    assert [site["text"] for site in report["sites"] if site["treatment"] == "stays"] == ["ud2"]
    assert main([str(kernel), "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out.split("\n", 4)[4]) == report


def test_object_file_shows_its_own_offsets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled.compile_object(tmp_path, "setup: nop\nlgdt there\nret\n")
    assert main([str(path)]) == 1
    assert capsys.readouterr().out.startswith("0x00000001 .text: lgdt [0]  [0f 01 15 00 00 00 00]  setup+0x1")


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_source_lines_by_every_dwarf_version(tmp_path: Path, version: int) -> None:
    source = '#include "port.h"\n\nint start(int a)\n{\n    stop();\n    return a;\n}\n'
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "port.h").write_text('\nstatic inline void stop(void)\n{\n __asm__("cli");\n}\n')
    flags = [f"-gdwarf-{version}", "-gstrict-dwarf", "-Iinclude"]
    for path in (
        compiled.compile_object(tmp_path, source, *flags, "-ffunction-sections", name="part.c"),
        compiled.kernel(tmp_path, source, *flags, name="part.c"),
    ):
        target = tmp_path / "report.json"
        assert main([str(path), "--json", str(target)]) == 1
        site = json.loads(target.read_text())["sites"][0]
        assert (site["file"], site["line"]) == ("include/port.h", 4)


def _refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"ring3: {path}: ")
    return captured.err


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in _refused(tmp_path / "missing", capsys)


def test_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Is a directory" in _refused(tmp_path, capsys)


@pytest.mark.parametrize("content", [b"", b"MZ\x90", b"#!/bin/sh\n" * 20])
def test_other_files(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert "not an ELF file" in _refused(path, capsys)


@pytest.mark.parametrize(
    ("offset", "value", "text"),
    [
        (4, b"\x02", "64-bit"),
        (18, b"\x3e\x00", "x86-64"),
        (18, b"\x28\x00", "ARM"),
        (18, b"\xff\xff", "machine 65535"),
        (5, b"\x02", "32-bit"),
        (16, b"\x04\x00", "ELF type 4"),
        (32, b"\x00\x00\x00\x7f", "truncated: section headers end at"),
        (28, b"\x00\x00\x00\x7f", "truncated: program headers end at"),
        (46, b"\x08\x00", "section headers of 8 bytes"),
    ],
)
def test_wrong_header(kernel: Path, offset: int, value: bytes, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(kernel.read_bytes())
    data[offset : offset + len(value)] = value
    kernel.write_bytes(data)
    assert text in _refused(kernel, capsys)


@pytest.mark.parametrize("size", [4, 30, 52, 1000])
def test_truncated_file(kernel: Path, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    kernel.write_bytes(kernel.read_bytes()[:size])
    assert "truncated" in _refused(kernel, capsys)


def test_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled.compile_object(tmp_path, "int table[4] = {1, 2};\n", name="part.c")
    compiled.run("objcopy", "-R", ".text", path.name, folder=tmp_path)
    assert "no executable section" in _refused(path, capsys)


def test_unwritable_json(kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "missing" / "report.json"
    assert main([str(kernel), "--json", str(target)]) == 2
    assert f"{target}: cannot be written" in capsys.readouterr().err


def test_damaged_debug_information_costs_only_lines(kernel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled.run("objcopy", "--update-section", ".debug_line=/dev/null", kernel.name, folder=kernel.parent)
    assert main([str(kernel)]) == 1
    assert "0x00100000 .text: cli" in capsys.readouterr().out
