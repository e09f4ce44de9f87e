"""Disk images: sizes, locks, refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hypervisor.devices.disk import SECTOR, DiskImage
from hypervisor.errors import RingError


def test_an_incomplete_sector_is_left_out_or_padded(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"a" * SECTOR + b"b" * 100)
    exact = DiskImage(path, read_only=True)
    assert (exact.sectors, exact.leftover) == (1, 100)
    padded = DiskImage(path, read_only=True, padded=True)
    assert (padded.sectors, padded.leftover) == (2, 0)
    assert padded.read(1, 1) == b"b" * 100 + b"\0" * 412


def test_writers_exclude_everybody_readers_share(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(SECTOR))
    writer = DiskImage(path)
    for read_only in (False, True):
        with pytest.raises(RingError, match="is in use by another guest"):
            DiskImage(path, read_only=read_only)
    writer.close()
    first, second = DiskImage(path, read_only=True), DiskImage(path, read_only=True)
    with pytest.raises(RingError, match="in use"):
        DiskImage(path)
    first.close()
    second.close()
    second.close()
    DiskImage(path).close()


@pytest.mark.parametrize("kind", ["missing", "empty", "short", "directory", "pipe"])
def test_refusals(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "disk"
    message = {"missing": "does not exist", "empty": "smaller than one sector", "short": "smaller than one sector",
               "directory": "cannot open|no file", "pipe": "is no file or block device"}[kind]  # fmt: skip
    if kind in ("empty", "short"):
        path.write_bytes(b"x" * (kind == "short"))
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    for read_only in (False, True):
        with pytest.raises(RingError, match=message):
            DiskImage(path, read_only=read_only)


def test_a_refused_image_leaves_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(RingError):
            DiskImage(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_unwritable_image_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """A program that runs cannot be written, not even by root."""
    path = tmp_path / "disk"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    with subprocess.Popen([path, "60"]) as running:
        try:
            with pytest.raises(RingError, match="add ',ro'"):
                DiskImage(path)
            DiskImage(path, read_only=True).close()
        finally:
            running.kill()


def test_places_are_filled_and_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"".join(bytes([number]) * SECTOR for number in range(8)))
    image = DiskImage(path)
    memory = memoryview(bytearray(b"x" * 4 * SECTOR))
    places = [memory[1000:1700], memory[0:4], memory[300:620]]
    image.read_into(2, places)
    assert b"".join(places) == b"\2" * SECTOR + b"\3" * SECTOR
    assert bytes(memory[4:300]) == b"x" * 296 and bytes(memory[620:1000]) == b"x" * 380
    image.write_from(5, places)
    assert image.read(5, 2) == b"\2" * SECTOR + b"\3" * SECTOR and image.read(7, 1) == b"\7" * SECTOR


def test_many_places_are_more_than_one_system_call(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(8 * SECTOR))
    image = DiskImage(path)
    places = [memoryview(bytearray(1)) for _ in range(8 * SECTOR)]
    image.read_into(0, places)
    assert b"".join(places) == path.read_bytes()
    places[0][0] ^= 0xFF
    image.write_from(0, places)
    assert b"".join(places) == path.read_bytes()


def test_places_behind_the_files_end_are_zeros(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"a" * 2 * SECTOR)
    image = DiskImage(path)
    os.truncate(path, SECTOR + 10)
    places = [memoryview(bytearray(b"x" * size)) for size in (SECTOR + 4, 100, SECTOR - 104)]
    image.read_into(0, places)
    assert b"".join(places) == (b"a" * (SECTOR + 10)).ljust(2 * SECTOR, b"\0")
