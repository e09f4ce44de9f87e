"""``ring3 port`` over the result of a former port: only what changed is ported, and nobody's work is lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porter import tree_port
from porter.tree import main

FILES = {
    "Makefile": "all:\n",
    "boot.S": '#include "regs.h"\n\tmovl %eax, %cr3\n',
    "raw.s": "\tmovl %eax, %cr0\n",
    "regs.h": "#define SAVE pushl %ds; cli\n",
    "io.c": 'void f(void) { asm volatile("cli"); }\n',
    "use.c": '#include "op.h"\nvoid g(void) { asm volatile(STOP "nop"); }\n',
    "op.h": '#define STOP "nop\\n\\t"\n',
    "plain/a.c": "int a;\n",
    "plain/gen.pl": 'print "  pushl %ds\\n";\n',
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "src" / "link").symlink_to("boot.S")
    (tmp_path / "src" / "empty").mkdir()
    return tmp_path / "src"


def port(root: Path, *more: str) -> dict[str, Any]:
    out = root.parent / "out"
    assert main([str(root), "-o", str(out), *more]) == 0
    document: dict[str, Any] = json.loads((root.parent / "out.json").read_text())
    return document


def same_as_fresh(root: Path) -> None:
    """The result of the last port is what a port into a new place makes."""
    fresh = root.parent / "fresh"
    assert main([str(root), "-o", str(fresh)]) == 0
    difference = subprocess.run(["diff", "-r", "--no-dereference", str(root.parent / "out"), str(fresh)],
                                capture_output=True, text=True)
    assert difference.stdout == ""
    assert (root.parent / "out.patch").read_bytes() == (root.parent / "fresh.patch").read_bytes()
    one, two = (json.loads((root.parent / f"{name}.json").read_text()) for name in ("out", "fresh"))
    for report in (one, two):
        del report["port"]["output"], report["port"]["reused"]
    assert one == two
    for path in root.parent.glob("fresh*"):
        subprocess.run(["rm", "-r", str(path)], check=True)


def test_nothing_new_is_nothing_to_do(root: Path) -> None:
    first = port(root)
    assert first["port"]["reused"] == 0
    times = {path: path.stat().st_mtime_ns for path in (root.parent / "out").rglob("*") if path.is_file()}
    assert port(root)["port"]["reused"] == first["port"]["scanned"] == 8
    assert times == {path: path.stat().st_mtime_ns for path in (root.parent / "out").rglob("*") if path.is_file()}
    same_as_fresh(root)


@pytest.mark.parametrize(("changes", "again"), [
    ({"io.c": 'void f(void) { asm volatile("sti"); }\n'}, ["io.c"]),
    ({"plain/a.c": "int a, b;\n", "new.S": "\tsti\n"}, ["new.S", "plain/a.c"]),
    # A string macro changes what becomes of the files that name it.
    ({"op.h": '#define STOP "cli\\n\\t"\n'}, ["op.h", "use.c"]),
    # A header that assembly includes no more is C alone.
    ({"boot.S": "\tmovl %eax, %cr3\n"}, ["boot.S", "regs.h"]),
    ({"raw.s": None, "plain/gen.pl": None}, []),
    ({"plain": "no directory any more\n", "plain/a.c": None, "plain/gen.pl": None}, []),
    ({"Makefile": "all: io.o\n"}, []),
])
def test_only_what_changed_is_ported_again(root: Path, changes: dict[str, str | None], again: list[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    port(root)
    apply(root, changes)
    ported: list[str] = []
    real: Callable[..., Any] = tree_port._port_text

    def noted(task: Any, *rest: Any) -> Any:
        ported.append(task.file.path)
        return real(task, *rest)

    monkeypatch.setattr(tree_port, "_port_text", noted)
    report = port(root)
    assert sorted(ported) == again
    assert report["port"]["reused"] == report["port"]["scanned"] - len(again)
    same_as_fresh(root)


def apply(root: Path, changes: dict[str, str | None]) -> None:
    for name, text in changes.items():
        if text is None:
            (root / name).unlink()
    for path in (root / "plain",):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name, text in changes.items():
        if text is not None:
            (root / name).write_text(text)


def test_random_histories_end_as_fresh_ports_do(root: Path) -> None:
    rng = random.Random(3)
    statements = ["cli", "sti", "nop", "wbinvd", "movl %eax, %cr3", "pushl %ds"]
    for step in range(12):
        name = rng.choice([*FILES, f"new{step}.S", f"plain/new{step}.c"])
        path = root / name
        if path.exists() and rng.random() < 0.3:
            path.unlink()
        elif name.endswith((".S", ".s")):
            path.write_text("".join(f"\t{rng.choice(statements)}\n" for _ in range(4)))
        elif name.endswith(".c"):
            path.write_text(f'void f(void) {{ asm("{rng.choice(statements)}"); }}\n')
        else:
            path.write_text(f'#define STOP "{rng.choice(statements)}\\n\\t"\n')
        port(root)
        if step % 4 == 3:
            same_as_fresh(root)


def test_another_porter_ports_everything_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port(root)
    monkeypatch.setattr(tree_port.memo, "FINGERPRINT", "another")
    assert port(root)["port"]["reused"] == 0


def test_what_a_build_left_is_kept_and_what_changed_is_newer(root: Path) -> None:
    port(root)
    out = root.parent / "out"
    for name in ("io.o", "build/deep/x.o", ".git/HEAD"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    (out / "build" / "link").symlink_to("deep/x.o")
    before = (out / "io.o").stat().st_mtime_ns
    (root / "plain/a.c").write_text("int c;\n")
    os.utime(root / "plain/a.c", (0, 0))
    port(root)
    assert (out / "io.o").read_text() == "io.o" and (out / "io.o").stat().st_mtime_ns == before
    assert (out / "build/deep/x.o").exists() and (out / ".git/HEAD").exists()
    assert os.readlink(out / "build" / "link") == "deep/x.o"
    assert (out / "plain/a.c").stat().st_mtime_ns > before


def test_a_user_s_change_is_kept_where_the_port_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port(root)
    out = root.parent / "out"
    (out / "Makefile").write_text("all: mine\n")
    (out / "boot.S").write_text((out / "boot.S").read_text() + "# mine\n")
    (root / "io.c").write_text('void f(void) { asm volatile("sti"); }\n')
    for _ in range(2):  # and it is still theirs the next time
        report = port(root)
        assert report["port"]["kept"] == ["Makefile", "boot.S"]
        assert (out / "Makefile").read_text() == "all: mine\n"
        assert (out / "boot.S").read_text().endswith("# mine\n")
        assert "r3_sti" in (out / "io.c").read_text()
    assert "Makefile: kept" in capsys.readouterr().out
    assert "# mine" not in (root.parent / "out.patch").read_text()


def test_a_file_that_its_user_removed_comes_back(root: Path) -> None:
    port(root)
    (root.parent / "out" / "io.c").unlink()
    port(root)
    same_as_fresh(root)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("mine", "theirs"), [
    ({"io.c": "int mine;\n"}, {"io.c": "int theirs;\n"}),
    ({"Makefile": "mine:\n"}, {"Makefile": "theirs:\n"}),
    ({"raw.s": "# mine\n"}, {"raw.s": None}),
    ({"new.c": "int mine;\n"}, {"new.c": "int theirs;\n"}),
    ({"ring3.h": "/* mine */\n"}, {"boot.S": None, "io.c": None, "use.c": None, "regs.h": None}),
])
def test_changes_on_both_sides_are_refused(root: Path, mine: dict[str, str], theirs: dict[str, str | None],
                                           capsys: pytest.CaptureFixture[str]) -> None:
    port(root)
    apply(root.parent / "out", dict(mine))
    apply(root, theirs)
    before = snapshot(root.parent)
    capsys.readouterr()
    assert main([str(root), "-o", str(root.parent / "out")]) == 2
    message = capsys.readouterr().err
    assert next(iter(mine)) in message and "--force" in message and message.count("\n") == 1
    assert snapshot(root.parent) == before
    port(root, "--force")
    same_as_fresh(root)


def test_the_same_change_on_both_sides_is_none(root: Path) -> None:
    port(root)
    for folder in (root, root.parent / "out"):
        (folder / "Makefile").write_text("all: same\n")
    assert port(root)["port"]["kept"] == []
    same_as_fresh(root)


def test_a_damaged_state_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port(root)
    state = root.parent / "out.state"
    whole = state.read_text()
    for text in ("", "[]", "{}", whole[:-20], whole.replace('"schema":2', '"schema":9'), '{"schema":2,"files":[]}'):
        state.write_text(text)
        capsys.readouterr()
        assert main([str(root), "-o", str(root.parent / "out")]) == 2
        assert "out.state" in capsys.readouterr().err
    port(root, "--force")
    same_as_fresh(root)


def test_a_dry_run_tells_what_is_new_and_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port(root)
    (root / "io.c").write_text('void f(void) { asm volatile("sti"); }\n')
    before = snapshot(root.parent)
    capsys.readouterr()
    assert main([str(root), "-o", str(root.parent / "out"), "--dry-run"]) == 0
    assert "8 files read (7 as before)" in capsys.readouterr().out
    assert snapshot(root.parent) == before


def test_any_number_of_jobs_makes_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("porter.workers._WORTH_IT", 0)
    monkeypatch.setattr("porter.workers._PIECE", 40)
    results = []
    for jobs in ("1", "2", "5"):
        port(root, "--force", "--jobs", jobs)
        results.append(snapshot(root.parent))
    assert results[0] == results[1] == results[2]


def test_the_first_error_by_path_is_told_whatever_fails_first(root: Path, monkeypatch: pytest.MonkeyPatch,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("porter.workers._WORTH_IT", 0)
    monkeypatch.setattr("porter.workers._PIECE", 1)
    (root / "a.S").write_text("\tnop\n" * 20000 + "\tmovl (%eax, %cr0\n")
    (root / "z.S").write_text("\tmovl (%eax, %cr0\n")
    assert main([str(root), "-o", str(root.parent / "out")]) == 2
    assert "a.S:20001:" in capsys.readouterr().err
    assert not list(root.parent.glob(".*")) and not (root.parent / "out").exists()
