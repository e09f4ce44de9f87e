"""``ring3 port DIR -o OUT``."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from porter.includes import with_include
from porter.tree import main

FILES = {
    "Makefile": "all: boot.o io.o\n%.o: %.S\n\tgcc -m32 -Iinclude -c $< -o $@\n"
                "%.o: %.c\n\tgcc -m32 -Iinclude -c $< -o $@\n",
    "boot.S": '/* Boots. */\n#include "regs.h"\n\n\t.code16\n\tcli\n\t.code32\nstart:\n\tSAVE\n\tmovl %eax, %cr3\n',
    "io.c": '#include <arch/io.h>\n\nunsigned char f(void) { cli(); return inb(4); }\n',
    "include/regs.h": "#ifndef REGS_H\n#define REGS_H\n\n#define SAVE pushl %ds; cli\n#endif\n",
    "include/arch/io.h": "// Port I/O.\n\nstatic inline void cli(void) { asm volatile(\"cli\"); }\n"
                         "static inline unsigned char inb(int p)\n{ unsigned char v; asm(\"inb %w1,%0\" : \"=a\"(v) : "
                         "\"d\"(p)); return v; }",
    "plain.c": "int in, out;\r\n/* cli */\r\n",
    "gen.pl": 'print "  pushl %ds\\n";\nprint "  jmp alltraps\\n";\n',
    "arm/start.S": "\tldr r0, =x @ it's; in\n\tstr r0, [r1]\n",
    "data.bin": "\xff\xfe cli",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode("latin-1"))
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("x")
    (root / "link").symlink_to("boot.S")
    return root


def port(tree: Path, *more: str) -> int:
    return main([str(tree), "-o", str(tree.parent / "out"), *more])


def test_a_tree_is_ported_and_still_builds(tree: Path) -> None:
    assert port(tree) == 0
    out = tree.parent / "out"
    assert (out / "boot.S").read_text() == (
        '/* Boots. */\n#include "regs.h"\n#include "ring3.h"\n\n\t.code16\n\tcli\n\t.code32\nstart:\n\tSAVE\n'
        '\tr3_write_cr3 %eax\n')
    assert (out / "include/regs.h").read_text() == (
        '#ifndef REGS_H\n#define REGS_H\n\n#include "../ring3.h"\n\n#define SAVE r3_push_ds; r3_cli\n#endif\n')
    assert (out / "include/arch/io.h").read_text().startswith('// Port I/O.\n\n#include "../../ring3.h"\n\nstatic')
    for name in ("Makefile", "io.c", "plain.c", "gen.pl", "arm/start.S", "data.bin"):
        assert (out / name).read_bytes() == (tree / name).read_bytes()
    assert (out / "link").is_symlink()
    assert not (out / ".git").exists()
    subprocess.run(["make", "-s", "all"], cwd=out, check=True)
    code = subprocess.run(["objdump", "-d", "io.o"], cwd=out, capture_output=True, text=True, check=True).stdout
    assert "\tcli" not in code and "call   *%cs:" in code


def test_the_patch_makes_the_ported_tree(tree: Path) -> None:
    assert port(tree) == 0
    out = tree.parent / "out"
    copy = tree.parent / "copy"
    shutil.copytree(tree, copy, symlinks=True)
    with (tree.parent / "out.patch").open() as patch:
        subprocess.run(["patch", "-p1", "-s"], stdin=patch, cwd=copy, check=True)
    shutil.rmtree(copy / ".git")
    assert subprocess.run(["diff", "-r", str(copy), str(out)], capture_output=True, text=True).stdout == ""


def test_the_report(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert port(tree) == 0
    report = json.loads((tree.parent / "out.json").read_text())
    assert report["schema"] == 2
    assert report["port"]["changed"] == ["boot.S", "include/arch/io.h", "include/regs.h"]
    sites = {(s["file"], s["line"], s["text"]): s for s in report["sites"]}
    assert sites["boot.S", 5, "cli"]["treatment"] == "left"
    assert "16-bit" in sites["boot.S", 5, "cli"]["reason"]
    load = sites["boot.S", 9, "movl %eax, %cr3"]
    assert (load["treatment"], load["macro"], load["cost"], load["class"]) == (
        "ported", "r3_write_cr3", "gate", "control registers")
    assert "script" in sites["gen.pl", 1, "pushl %ds"]["reason"]
    assert report["classes"]["port I/O"] == {"ported": 1}
    printed = capsys.readouterr().out
    assert "5 instructions ported" in printed
    assert "16-bit code" in printed


def test_porting_the_result_changes_nothing(tree: Path) -> None:
    assert port(tree) == 0
    again = tree.parent / "again"
    assert main([str(tree.parent / "out"), "-o", str(again)]) == 0
    assert subprocess.run(["diff", "-r", str(tree.parent / "out"), str(again)]).returncode == 0
    assert (tree.parent / "again.patch").read_text() == ""


def test_excluded_files_are_copied_as_they_are(tree: Path) -> None:
    assert port(tree, "--exclude", "include/*", "--exclude", "boot.S") == 0
    assert (tree.parent / "out.patch").read_text() == ""


def test_a_dry_run_writes_only_what_is_named(tree: Path) -> None:
    patch = tree.parent / "named.patch"
    assert main([str(tree), "--dry-run", "--patch", str(patch)]) == 0
    assert sorted(path.name for path in tree.parent.iterdir()) == ["named.patch", "src"]
    assert "+\tr3_write_cr3 %eax" in patch.read_text()


def test_assembly_without_preprocessor_gets_an_include(tree: Path) -> None:
    (tree / "raw.s").write_text("\tmovl %eax, %cr0\n")
    assert port(tree) == 0
    out = tree.parent / "out"
    assert (out / "raw.s").read_text().startswith('.include "ring3.inc"\n')
    subprocess.run(["as", "--32", "-o", "raw.o", "raw.s"], cwd=out, check=True)


def refused(tree: Path, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    before = sorted(tree.parent.rglob("*"))
    assert main(list(args)) == 2
    assert sorted(tree.parent.rglob("*")) == before
    message = capsys.readouterr().err
    assert message.startswith("ring3: ") and message.count("\n") == 1
    return message


def test_bad_calls_are_refused_in_a_line(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tree.parent / "out")
    assert "no such directory" in refused(tree, capsys, str(tree / "nothing"), "-o", out)
    assert "lies in the tree" in refused(tree, capsys, str(tree), "-o", str(tree / "out"))
    assert "no such directory" in refused(tree, capsys, str(tree), "-o", str(tree.parent / "no" / "out"))
    (tree / "bad.S").write_text("\tnop\n\tmovl (%eax, %cr0\n")
    assert "bad.S:2:" in refused(tree, capsys, str(tree), "-o", out)
    (tree / "bad.S").unlink()
    (tree / "ring3.h").write_text("int mine;\n")
    assert "ring3.h" in refused(tree, capsys, str(tree), "-o", out)


def test_an_existing_result_is_replaced_only_by_force(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tree.parent / "out"
    out.mkdir()
    (out / "old").touch()
    assert "--force" in refused(tree, capsys, str(tree), "-o", str(out))
    assert port(tree, "--force") == 0
    assert not (out / "old").exists() and (out / "boot.S").exists()
    assert sorted(path.name for path in tree.parent.iterdir()) == [
        "out", "out.html", "out.json", "out.patch", "out.state", "src"]


@pytest.mark.parametrize(("before", "after"), [
    ("int x;\n", '#include "r.h"\n\nint x;\n'),
    ("/* a\n b */\n\nint x;\n", '/* a\n b */\n\n#include "r.h"\n\nint x;\n'),
    ('#include "a"\n# include <b>\n\nint x;\n', '#include "a"\n# include <b>\n#include "r.h"\n\nint x;\n'),
    ("#pragma once\nint x;\n", '#pragma once\n#include "r.h"\n\nint x;\n'),
    ("#ifndef A\n#define A\nint x;\n#endif\n", '#ifndef A\n#define A\n#include "r.h"\n\nint x;\n#endif\n'),
    ("#ifdef A\nint x;\n#endif\n", '#include "r.h"\n\n#ifdef A\nint x;\n#endif\n'),
    ("# comment\n\tcli\n", '# comment\n#include "r.h"\n\n\tcli\n'),
    ("int x;\r\n", '#include "r.h"\r\n\r\nint x;\r\n'),
])
def test_where_the_include_goes(before: str, after: str) -> None:
    assert with_include(before, "r.h") == after
    assert with_include(after, "r.h") == after
