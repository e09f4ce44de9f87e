"""``ring3 cc --verify``: what is left in the objects of a build is told, and such objects do not stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.verify import verify_files
from tests.porter import compiled


def test_what_is_left_is_told_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dirty = compiled.compile_object(tmp_path, "go:\tnop\n\tcli\n\tsti\n\tret\n", "-g", name="dirty.S")
    clean = compiled.compile_object(tmp_path, "int twice(int n) { return n + n; }\n", name="clean.c")
    data = compiled.compile_object(tmp_path, "int a[3] = {1};\n", name="data.c")
    other = tmp_path / "list.txt"
    other.write_text("no ELF")
    assert verify_files([str(path) for path in (clean, data, other, tmp_path / "nothing")]) == 0
    assert capsys.readouterr().err == ""
    assert verify_files([str(clean), str(dirty)]) == 1
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{dirty}: ") and first.endswith("dirty.S:2: ring3: `cli` is left to port")
    assert second.endswith("dirty.S:3: ring3: `sti` is left to port")
    assert last == f"ring3: {dirty}: 2 left to port; removed"
    assert clean.exists() and data.exists() and not dirty.exists()
