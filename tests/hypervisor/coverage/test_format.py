"""The coverage file: what is read, what is refused, how files add up, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.coverage.format import Coverage, Place, load
from hypervisor.coverage.listing import listings
from hypervisor.coverage.tables import forms, rows
from hypervisor.errors import RingError
from tests.hypervisor.cli.commands import ring3

SOURCE = "one\ntwo\nthree\nfour\nfive\nsix\n"


def coverage(crc: int = 7) -> Coverage:
    sites = [
        Place(0x1000, "cli", "inline", symbol="lock+0x2", file="src/x86.h", line=2, count=9,
              callers=[("src/lock.c", 5)]),
        Place(0x1010, "out8", "gate", symbol="put", file="src/put.c", line=3, count=4, exits=1, nanoseconds=500.0),
        Place(0x1020, "hlt", "trap", symbol="put+0x10", file="src/put.c", line=6),
    ]
    elsewhere = [Place(0x20, "int", "gate", ring=3, count=5, nanoseconds=50.0)]
    return Coverage("/kernel", crc, 1, 0, sites, elsewhere)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    coverage().save(tmp_path / "file")
    assert load(tmp_path / "file") == coverage()


def test_sums() -> None:
    total = coverage()
    total.add(coverage())
    assert total.runs == 2 and [place.count for place in total.sites] == [18, 8, 0]
    assert total.sites[1].exits == 2 and total.sites[1].nanoseconds == 1000 and total.elsewhere[0].count == 10
    with pytest.raises(RingError, match="of two kernels"):
        total.add(coverage(crc=8))


def test_tables() -> None:
    assert [(row.name, row.places, row.ran, row.count) for row in forms(coverage())] == [
        ("inline", 1, 1, 9), ("gate", 1, 1, 4), ("trap", 1, 0, 0), ("all", 3, 2, 13)]  # fmt: skip
    functions = rows([*coverage().sites, *coverage().elsewhere], "function")
    assert [(row.name, row.form, row.count) for row in functions] == [
        ("put", "gate", 4), ("(user programs)", "gate", 5), ("lock", "inline", 9), ("put", "trap", 0)]  # fmt: skip


def test_counts_stand_over_the_source_and_where_it_was_inlined(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name in ("x86.h", "put.c", "lock.c"):
        (tmp_path / "src" / name).write_text(SOURCE)
    found = {one.name: one for one in listings(coverage(), [], [tmp_path], 0)}
    assert sorted(found) == ["src/lock.c", "src/put.c", "src/x86.h"]
    put = [(line.number, line.text, line.count) for line in found["src/put.c"].lines]
    assert put == [(0, "", 0), (3, "three", 4), (0, "", 0), (6, "six", 0)]
    assert [(line.number, line.count) for line in found["src/lock.c"].lines if line.number] == [(5, 9)]
    (whole,) = listings(coverage(), ["put.c"], [tmp_path], None)
    assert [line.text for line in whole.lines] == SOURCE.splitlines()
    (lost,) = listings(coverage(), ["put.c"], [], 0)
    assert lost.path is None and [line.number for line in lost.lines] == [3, 6]
    with pytest.raises(RingError, match=r"no site of /kernel is in a source file ut\.c"):
        list(listings(coverage(), ["ut.c"], [], 0))


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "file"
    coverage().save(path)
    shown = ring3("coverage", path, path).stdout.decode()
    assert "2 of 3 sites ran (66.7 %) in 2 runs" in shown and "out8 at put src/put.c:3" in shown
    assert "hlt" in ring3("coverage", path, "--never").stdout.decode()
    listed = ring3("coverage", path, "--source", "put.c").stdout.decode()
    assert "#####" in listed and "not found here" in listed
    objects = [json.loads(line) for line in ring3("coverage", path, "--json").stdout.splitlines()]
    assert [(one["kind"], one["address"], one["count"]) for one in objects] == [
        ("site", "0x1000", 9), ("site", "0x1010", 4), ("site", "0x1020", 0), ("elsewhere", "0x20", 5)]  # fmt: skip


DAMAGE = {
    "empty": (b"", "no coverage file"),
    "binary": (b"\x7fELF\xff\xfe", "no coverage file"),
    "another": (b'{"format": "lcov"}', "no coverage file"),
    "later": (b'{"format": "ring3-coverage", "version": 9}', "has version 9"),
    "cut": (b'{"format": "ring3-coverage", "version": 1, "kernel"', "no coverage file"),
    "no runs": (b'{"format": "ring3-coverage", "version": 1, "kernel": "k", "crc": 1}', "it has no 'runs'"),
    "no list": (b'{"format": "ring3-coverage", "version": 1, "kernel": "k", "crc": 1, "runs": 1, "uncounted": 0, '
                b'"sites": 3, "elsewhere": []}', "is damaged"),
    "no place": (b'{"format": "ring3-coverage", "version": 1, "kernel": "k", "crc": 1, "runs": 1, "uncounted": 0, '
                 b'"sites": [{"address": 1, "operation": "cli", "form": "magic"}], "elsewhere": []}', "is damaged"),
    "no count": (b'{"format": "ring3-coverage", "version": 1, "kernel": "k", "crc": 1, "runs": 1, "uncounted": 0, '
                 b'"sites": [{"address": 1, "operation": "cli", "form": "gate", "count": "2"}], "elsewhere": []}',
                 "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused(sample_kernel: Callable[..., Path], tmp_path: Path, damage: str) -> None:
    content, message = DAMAGE[damage]
    path = tmp_path / "file"
    path.write_bytes(content)
    run = ring3("coverage", path)
    assert run.returncode == 2 and message in run.stderr.decode() and str(path) in run.stderr.decode()
    run = ring3("run", sample_kernel("hello", ported=True), "--coverage", path)
    assert run.returncode == 2 and not run.stdout and path.read_bytes() == content


def test_files_that_cannot_be_added_to(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    kernel = sample_kernel("hello", ported=True)
    before = kernel.read_bytes()
    run = ring3("run", kernel, "--coverage", kernel)
    assert run.returncode == 2 and "is the kernel itself" in run.stderr.decode() and kernel.read_bytes() == before
    coverage().save(tmp_path / "file")
    run = ring3("run", kernel, "--coverage", tmp_path / "file")
    assert run.returncode == 2 and "is of another kernel" in run.stderr.decode()
    assert load(tmp_path / "file") == coverage()
    run = ring3("run", kernel, "--coverage", tmp_path / "nowhere" / "file")
    assert run.returncode == 2 and "cannot be written" in run.stderr.decode()
    flat = tmp_path / "flat"
    flat.write_bytes(b"\xf4" * 16)
    run = ring3("run", flat, "--load-at", "0x100000", "--coverage", tmp_path / "new")
    assert run.returncode == 2 and "not an ELF file" in run.stderr.decode() and not (tmp_path / "new").exists()
