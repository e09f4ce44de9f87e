"""``ring3 check`` on several files at once, and on archives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from porter.check import check, main
from tests.porter import compiled

LONG = "a_member_whose_name_is_longer_than_fifteen.S"


@pytest.fixture
def objects(tmp_path: Path) -> list[Path]:
    return [
        compiled.compile_object(tmp_path, "stop: cli\nret\n", name="stop.S"),
        compiled.compile_object(tmp_path, "go: sti\nhlt\nret\n", name=LONG),
        compiled.compile_object(tmp_path, "add: addl %eax, %ebx\nret\n", name="add.S"),
        compiled.compile_object(tmp_path, "int table[4] = {1, 2};\n", name="table.c"),
    ]


def archive(objects: list[Path], how: str, name: str = "all.a") -> Path:
    folder = objects[0].parent
    compiled.run("ar", how, name, *(path.name for path in objects), folder=folder)
    return folder / name


def names(path: Path) -> list[str]:
    return subprocess.run(["ar", "t", path], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("how", ["rcs", "rcsT", "rcS"])
def test_members_are_named(objects: list[Path], how: str) -> None:
    path = archive(objects, how)
    report = check([path])
    assert [one.name for one in report.inputs] == [f"{path}({Path(name).name})" for name in names(path)]
    assert [one.kind for one in report.inputs][:3] == ["code"] * 3
    assert [(entry.input, entry.text) for entry in report.entries] == [
        (f"{path}(stop.o)", "cli"), (f"{path}({Path(LONG).stem}.o)", "sti"), (f"{path}({Path(LONG).stem}.o)", "hlt")]


def test_a_thin_archive_elsewhere_and_one_of_archives(objects: list[Path], tmp_path: Path) -> None:
    inner = archive(objects[:2], "rcs", "inner.a")
    (tmp_path / "lib").mkdir()
    compiled.run("ar", "rcsT", "lib/outer.a", inner.name, objects[2].name, folder=tmp_path)
    report = check([tmp_path / "lib" / "outer.a"])
    assert [entry.text for entry in report.entries] == ["cli", "sti", "hlt"]
    assert len(report.inputs) == 3


def test_several_files_one_verdict(objects: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(path) for path in objects]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{objects[0]}: 0x00000000 .text: cli  [fa]  stop")
    assert lines[-1] in {f"4 files, {count} with code: 3 left to port" for count in (3, 4)}
    assert main([str(objects[2]), str(objects[3])]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("nothing left to port")


def test_one_bad_file_names_itself(objects: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    bad = objects[0].parent / "bad.o"
    bad.write_text("no ELF")
    assert main([str(objects[0]), str(bad)]) == 2
    path = archive([*objects, bad], "rcS")
    assert main([str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(": ")[1] for line in captured.err.splitlines()] == [str(bad), f"{path}(bad.o)"]


def test_damaged_archives_are_refused(objects: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(objects, "rcs")
    content = path.read_bytes()
    damaged = [content[:cut] for cut in (20, 70, 200, len(content) - 10)]
    damaged += [content.replace(b"`\n", b"!\n", 1), content.replace(b"//  ", b"/9  ", 1)]
    for number, data in enumerate(damaged):
        path.write_bytes(data)
        assert main([str(path)]) == 2, number
        message = capsys.readouterr().err
        assert message.startswith(f"ring3: {path}") and message.count("\n") == 1
    thin = archive(objects, "rcsT", "thin.a")
    objects[1].unlink()
    assert main([str(thin)]) == 2
    assert objects[1].name in capsys.readouterr().err


def test_code_that_is_yet_to_be_made_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled.compile_object(tmp_path, "void stop(void) { __asm__(\"cli\"); }\n", "-flto", "-fno-fat-lto-objects",
                                   name="part.c")
    assert main([str(path)]) == 2
    assert "-fno-lto" in capsys.readouterr().err
