"""The patch of a port, as `patch` and `git apply` read it."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from porter.patch import file_patch, new_file_patch
from porter.tree import main

LINES = ["\tcli\n", "\tnop\n", "\n", "\f\n", "x\ry\n", "/* \xc3\xa9 */\n", "same\n"]


def applied(folder: Path, patch: str, tool: list[str]) -> None:
    run = subprocess.run(tool, input=patch.encode("latin-1"), cwd=folder, capture_output=True)
    assert run.returncode == 0, run.stderr.decode() + run.stdout.decode()


TOOLS = [["patch", "-p1", "-s", "--binary"], ["git", "apply", "-p1", "-"]]


@pytest.mark.parametrize("tool", TOOLS, ids=["patch", "git"])
def test_random_texts(tmp_path: Path, tool: list[str]) -> None:
    rng = random.Random(7)
    for number in range(40):
        before = [rng.choice(LINES) for _ in range(rng.randrange(0, 30))]
        after = [line if rng.random() < 0.8 else "changed\n" for line in before]
        for _ in range(rng.randrange(0, 3)):
            after.insert(rng.randrange(0, len(after) + 1), rng.choice(LINES))
        if rng.random() < 0.2 and after:
            del after[rng.randrange(len(after))]
        texts = ["".join(lines) for lines in (before, after)]
        if rng.random() < 0.3:
            texts = [text.removesuffix("\n") for text in texts]
        if not all(texts) or texts[0] == texts[1]:
            continue
        path = tmp_path / f"{number}"
        path.write_bytes(texts[0].encode("latin-1"))
        applied(tmp_path, file_patch(path.name, *texts), tool)
        assert path.read_bytes() == texts[1].encode("latin-1")


@pytest.mark.parametrize("tool", TOOLS, ids=["patch", "git"])
def test_a_whole_tree(tmp_path: Path, tool: list[str]) -> None:
    root = tmp_path / "src"
    names = ["boot.S", "with blank.S", "é/ü.c", 'quote".S', "tab\t.S", "back\\slash.S"]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        c, assembly = b'void f(void) { asm("cli"); } /* \xff */', b"\tcli\r\n\tnop\r\n\tsti"
        path.write_bytes(c if name.endswith("c") else assembly)
    assert main([str(root), "-o", str(tmp_path / "out")]) == 0
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    applied(copy, (tmp_path / "out.patch").read_bytes().decode("latin-1"), tool)
    assert subprocess.run(["diff", "-r", str(copy), str(tmp_path / "out")], capture_output=True).stdout == b""


def test_unchanged_lines_are_not_in_it() -> None:
    before = "".join(f"line {number}\n" for number in range(100))
    after = before.replace("line 50\n", "LINE 50\n").replace("line 0\n", "new\nline 0\n")
    assert file_patch("a", before, after) == (
        "--- a/a\n+++ b/a\n@@ -1,3 +1,4 @@\n+new\n line 0\n line 1\n line 2\n"
        "@@ -48,7 +49,7 @@\n line 47\n line 48\n line 49\n-line 50\n+LINE 50\n line 51\n line 52\n line 53\n")


def test_a_new_file(tmp_path: Path) -> None:
    for tool in TOOLS:
        applied(tmp_path, new_file_patch("x/y", "one\n\ntwo"), tool)
        assert (tmp_path / "x" / "y").read_text() == "one\n\ntwo"
        shutil.rmtree(tmp_path / "x")
