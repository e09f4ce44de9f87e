"""``ring3 port`` that is ended before its end, or finds the disk full, leaves what was there before and no more."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from porter import interrupts, tree, tree_output
from porter.files import Pending

COMMAND = [sys.executable, "-m", "hypervisor.cli.main", "port"]
# The same, telling when the interpreter is up, which answers an interrupt before that with status 1.
TELLING = [sys.executable, "-c", "import os, sys; os.write(1, b'.'); from hypervisor.cli.main import main; "
                                 "sys.exit(main(['port', *sys.argv[1:]]))"]
OUTPUTS = ["out", "out.html", "out.json", "out.patch", "out.state"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree") / "src"
    body = "\tmovl %eax, %cr3\n\tcli\n" + "\tnop\n" * 40
    for number in range(120):
        path = root / f"d{number % 7}" / f"f{number}.S"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body * (number % 9 + 1))
    (root / "data").write_bytes(bytes(300_000))
    return root


def contents(folder: Path) -> dict[str, bytes]:
    """All files, without how many sources the report says were taken from the former port."""
    return {str(path.relative_to(folder)): re.sub(rb'"reused": \d+', b"", path.read_bytes())
            for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed port writes."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(source, folder).returncode == 0
    return contents(folder)


def run(source: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, str(source), "-o", "out", *more], cwd=folder, capture_output=True,
                          env=environment(), timeout=60)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.fixture(params=[False, True], ids=["first", "again"])
def folder(request: pytest.FixtureRequest, source: Path, tmp_path: Path) -> Path:
    """A place for the port: empty, or with an older one in it."""
    if request.param:
        old = tmp_path / "old"
        old.mkdir()
        (old / "x.S").write_text("\tcli\n")
        assert subprocess.run([*COMMAND, str(old), "-o", "out"], cwd=tmp_path, capture_output=True,
                              env=environment()).returncode == 0
        subprocess.run(["rm", "-r", str(old)], check=True)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_signals_at_random_moments(source: Path, folder: Path, whole: dict[str, bytes],
                                   number: signal.Signals) -> None:
    rng = random.Random(number)
    before = contents(folder)
    began = time.monotonic()
    assert run(source, shutil.copytree(folder, folder.with_name(f"{folder.name}-timed"))).returncode == 0
    duration = time.monotonic() - began
    interrupted = 0
    for attempt in range(8):
        place = shutil.copytree(folder, folder.with_name(f"{folder.name}-{attempt}"))
        # A group of its own, as a terminal would signal it: the workers, too.
        process = subprocess.Popen([*TELLING, str(source), "-o", "out", "--jobs", "2"], cwd=place,
                                   env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        assert process.stdout and process.stdout.read(1) == b"."
        time.sleep(duration * rng.uniform(0, 1))
        os.killpg(process.pid, number)
        error = process.communicate(timeout=60)[1]
        interrupted += process.returncode != 0
        assert process.returncode in (0, -number, 130), error
        after = contents(place)
        assert after == whole or (after == before and process.returncode), error
        assert not [path for path in place.iterdir() if path.name not in OUTPUTS]
    assert interrupted


def test_a_signal_at_every_step(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes at each checkpoint in turn, a step apart, until the port comes through."""
    before = contents(folder)
    monkeypatch.chdir(folder)
    real = interrupts.checkpoint
    for stop in range(0, 10_000, 23):
        left = iter(range(stop, -1, -1))

        def counted(left: Iterator[int] = left) -> None:
            if next(left, None) == 0:
                interrupts._seen.append(signal.SIGINT)
            real()

        monkeypatch.setattr(interrupts, "checkpoint", counted)
        try:
            assert tree.main([str(source), "-o", "out", "--jobs", "1"]) == 0
            break
        except KeyboardInterrupt:
            assert contents(folder) == before
            assert not [path for path in folder.iterdir() if path.name not in OUTPUTS]
    else:
        pytest.fail("it never came through")
    assert stop > 23


def test_a_signal_while_all_is_put_in_place_is_too_late(source: Path, folder: Path, whole: dict[str, bytes],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    real = tree_output.put_in_place

    def signalled(partial: Path, out: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        real(partial, out)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(tree_output, "put_in_place", signalled)
    assert tree.main([str(source), "-o", "out", "--jobs", "1"]) == 0
    assert contents(folder) == whole


def test_where_names_cannot_be_exchanged_they_are_moved(source: Path, folder: Path, whole: dict[str, bytes],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tree_output, "_exchange", lambda one, other: False)
    assert tree.main([str(source), "-o", "out", "--jobs", "1"]) == 0
    assert contents(folder) == whole
    assert not [path for path in folder.iterdir() if path.name not in OUTPUTS]


@pytest.mark.parametrize("limit", [0, 3_000, 20_000, 200_000])
def test_a_limit_on_the_size_of_files(source: Path, folder: Path, limit: int) -> None:
    before = contents(folder)
    process = subprocess.run(
        [*COMMAND, str(source), "-o", "out", "--jobs", "2"], cwd=folder, env=environment(), capture_output=True,
        text=True, timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert process.returncode == 2
    assert process.stderr.startswith("ring3: ") and process.stderr.count("\n") == 1
    assert contents(folder) == before
    assert not [path for path in folder.iterdir() if path.name not in OUTPUTS]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount; the limit on file sizes is tested everywhere")
def test_a_full_disk(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    needed = sum(map(len, whole.values()))
    for share in (0.02, 0.3, 0.6, 0.9):
        disk = tmp_path / f"disk{share}"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(needed * share)}", "none", str(disk)],
                          capture_output=True).returncode:
            pytest.skip("this container may not mount")
        try:
            process = run(source, disk)
            assert process.returncode == 2, share
            assert b"No space left" in process.stderr and process.stderr.count(b"\n") == 1
            assert list(disk.iterdir()) == []
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def test_a_worker_that_is_killed_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("porter.workers._WORTH_IT", 0)
    monkeypatch.setattr("porter.tree_port._port_file", _die)
    assert tree.main([str(source), "-o", str(tmp_path / "out"), "--jobs", "2"]) == 2
    assert "--jobs 1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def _die(task: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_files_are_put_in_place_together(tmp_path: Path) -> None:
    files = Pending()
    (tmp_path / "a").write_text("old")
    files.write(tmp_path / "a", b"new")
    files.write(tmp_path / "b", b"new")
    assert (tmp_path / "a").read_text() == "old" and not (tmp_path / "b").exists()
    files.put_in_place()
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "new"
    files.write(tmp_path / "c", b"new")
    files.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
