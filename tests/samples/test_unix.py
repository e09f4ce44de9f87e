"""The Unix-like kernel says the same on a bare PC and, ported, in ring3; its own tests pass, and its disk is sound."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from porter.binary import survey
from tests.hypervisor.cli.commands import ring3
from tests.samples import kernels, play
from tests.samples.sessions import SESSIONS

Build = Callable[..., Path]
UNIX = [name for name, session in SESSIONS.items() if session.sample == "unix"]


@pytest.fixture(scope="module")
def fs() -> Iterator[ModuleType]:
    """The kernel's host tool for disks."""
    spec = importlib.util.spec_from_file_location("unix_fs", kernels.SOURCES / "unix" / "fs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its data classes look for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def copied(kernel: Path, folder: Path) -> Path:
    """The kernel and its disk, copied to `folder`: a session changes the disk."""
    shutil.copy(kernel.parent / "disk.img", folder)
    return Path(shutil.copy(kernel, folder))


def check(fs: Any, kernel: Path) -> None:
    """The disk beside the kernel is sound, and holds no more than at first."""
    disk = fs.Disk(bytearray((kernel.parent / "disk.img").read_bytes()))
    assert fs.check_disk(disk) == []
    paths = {path for path, _, _ in fs.walk(disk)}
    assert {path for path in paths if not path.startswith("/bin/")} == {
        "/", "/bin", "/dev", "/dev/console", "/dev/null", "/tmp", "/readme", "/demo"}  # fmt: skip


@pytest.mark.skipif(not kernels.have_pc(), reason="QEMU is not installed: the transcript stands for it")
@pytest.mark.parametrize("name", UNIX)
def test_the_transcript_is_what_a_pc_prints(name: str, sample_kernel: Build, fs: ModuleType, tmp_path: Path) -> None:
    kernel = copied(sample_kernel("unix", ported=False), tmp_path)
    assert play.on_pc(name, kernel) == kernels.transcript(name).read_text()
    check(fs, kernel)


@pytest.mark.parametrize(("name", "options"), [
    pytest.param("unix", (), id="serial"), pytest.param("unix", ("--slide",), id="slide"),
    pytest.param("unix-keyboard", ("--keyboard",), id="keyboard")])
def test_ported_prints_the_same(name: str, options: tuple[str, ...], sample_kernel: Build, fs: ModuleType,
                                tmp_path: Path, monitor: Path) -> None:
    kernel = copied(sample_kernel("unix", ported=True), tmp_path)
    assert play.in_ring3(name, kernel, *options) == kernels.transcript(name).read_text()
    check(fs, kernel)


def test_ported_source_prints_the_same(fs: ModuleType, tmp_path: Path, monitor: Path) -> None:
    """The other way in: a ported copy of the sources, built by the plain compiler."""
    kernel = kernels.make("unix", tmp_path / "build", ported=False, tree=kernels.port_tree(tmp_path / "ported"))
    assert play.in_ring3("unix", kernel) == kernels.transcript("unix").read_text()
    check(fs, kernel)
    assert not survey(kernel).left


def test_ported_as_binaries_prints_the_same(sample_kernel: Build, fs: ModuleType, tmp_path: Path,
                                            monitor: Path) -> None:  # fmt: skip
    """Kernel and programs, none of which has symbols; no system call traps then."""
    built, programs, trace = sample_kernel("unix", ported=False), tmp_path / "bin", tmp_path / "trace"
    programs.mkdir()
    names = [programs / program.name for program in sorted((built.parent / "bin").iterdir())]
    for name in names:
        run = ring3("port", "--user", "--guesses", built.parent / "bin" / name.name, "-o", name)
        assert run.returncode == 0, run.stdout + run.stderr
    source, kernel = kernels.SOURCES / "unix", tmp_path / "unix.elf"
    subprocess.run([sys.executable, source / "fs.py", "make", tmp_path / "disk.img", "--bin", *names,
                    "--files", *sorted((source / "files").iterdir())], check=True)  # fmt: skip
    subprocess.run(["strip", "-o", kernel, built], check=True)
    options = ("--port", "--trace", str(trace), "--trace-only", "emulated")
    assert play.in_ring3("unix", kernel, *options) == kernels.transcript("unix").read_text()
    check(fs, kernel)
    emulated = ring3("trace", "list", trace, "--where", "emulated and ring == 3").stdout.decode()
    assert "cli" in emulated and "int 0x" not in emulated  # it tries what programs may not do


def test_its_own_tests_pass() -> None:
    text = kernels.transcript("unix").read_text()
    assert "\nALL PASSED\n" in text and "FAILED" not in text


def test_check_finds_nothing_once_ported(sample_kernel: Build) -> None:
    assert survey(sample_kernel("unix", ported=False)).left
    assert not survey(sample_kernel("unix", ported=True)).left


def test_made_disk_holds_what_it_was_given(fs: ModuleType, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"text")
    large.write_bytes(bytes(range(251)) * 800)  # into the indirect blocks
    image = tmp_path / "disk.img"
    sys.argv = ["fs.py", "make", str(image), "--files", str(small), str(large)]
    assert fs.main() == 0
    disk = fs.Disk(bytearray(image.read_bytes()))
    assert fs.check_disk(disk) == []
    found = {path: disk.content(inode) for path, _, inode in fs.walk(disk) if inode.type == fs.FILE}
    assert found == {"/small": small.read_bytes(), "/large": large.read_bytes()}


def inode(disk: Any, path: str, fs: Any) -> tuple[int, Any]:
    return next((number, inode) for at, number, inode in fs.walk(disk) if at == path)


def clear_bit(disk: Any, bitmap: int, bit: int) -> None:
    disk.image[bitmap * 1024 + bit // 8] &= ~(1 << bit % 8)


def wrong_links(disk: Any, fs: Any) -> None:
    number, readme = inode(disk, "/readme", fs)
    readme.links = 2
    disk.store(number, readme)


def shared_block(disk: Any, fs: Any) -> None:
    number, readme = inode(disk, "/readme", fs)
    readme.blocks[0] = inode(disk, "/demo", fs)[1].blocks[0]
    disk.store(number, readme)


def block_behind_the_end(disk: Any, fs: Any) -> None:
    number, readme = inode(disk, "/readme", fs)
    readme.size = 0
    disk.store(number, readme)


def used_block_marked_free(disk: Any, fs: Any) -> None:
    clear_bit(disk, disk.block_bitmap, inode(disk, "/readme", fs)[1].blocks[0])


def used_inode_marked_free(disk: Any, fs: Any) -> None:
    clear_bit(disk, disk.inode_bitmap, inode(disk, "/readme", fs)[0])


def free_block_marked_used(disk: Any, fs: Any) -> None:
    disk.mark(disk.block_bitmap, disk.blocks - 1)


def free_inode_marked_used(disk: Any, fs: Any) -> None:
    disk.mark(disk.inode_bitmap, disk.inodes - 1)


def unknown_type(disk: Any, fs: Any) -> None:
    number, readme = inode(disk, "/readme", fs)
    readme.type = 9
    disk.store(number, readme)


def lost_parent(disk: Any, fs: Any) -> None:
    at = inode(disk, "/tmp", fs)[1].blocks[0] * 1024 + fs.ENTRY.size
    struct.pack_into("<I", disk.image, at, inode(disk, "/bin", fs)[0])


DAMAGE = {
    wrong_links: ["/readme: 2 links, named 1 times"],
    shared_block: ["block", "belongs to inode"],
    block_behind_the_end: ["/readme", "behind the end"],
    used_block_marked_free: ["is in use, and marked free"],
    used_inode_marked_free: ["is in use, and marked free"],
    free_block_marked_used: ["is not in use, and marked so"],
    free_inode_marked_used: ["is not in use, and marked so"],
    unknown_type: ["/readme: inode", "no known type"],
    lost_parent: ["/tmp: no '.' for itself and '..' for its parent"],
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found(damage: Callable[[Any, Any], None], sample_kernel: Build, fs: ModuleType) -> None:
    disk = fs.Disk(bytearray((sample_kernel("unix", ported=False).parent / "disk.img").read_bytes()))
    assert fs.check_disk(disk) == []
    damage(disk, fs)
    found = fs.check_disk(disk)
    assert any(all(part in line for part in DAMAGE[damage]) for line in found), found
