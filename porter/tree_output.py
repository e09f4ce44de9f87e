"""The tree that a port writes: made beside its place, and put there in one step.

Where a former port wrote it, files that stay as they were are linked into the new one, so that they keep their
times and a build makes anew only what changed. What else is found there, build products for example, is kept, and
so is a file that its user changed, as long as the port would not change it too.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from porter import interrupts
from porter.errors import PortError
from porter.files import no_room
from porter.tree_files import LINK, File, Tree, digest, file_digest, walk
from porter.tree_port import Result
from porter.tree_state import State
from porter.workers import Workers

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_NAMED = 3  # files that a refusal names


class Former(NamedTuple):
    """The tree of a former port as it is now: the digests of its files, by path."""

    out: Path
    state: State
    tree: Tree
    digests: dict[str, str]

    def changed(self, path: str) -> bool:
        """Whether somebody changed a file since it was ported."""
        return path in self.digests and self.digests[path] != self.state.outputs.get(path)


class _DigestTask(NamedTuple):
    root: Path
    path: str


def _digest(task: _DigestTask) -> str:
    return file_digest(task.root / task.path)


def former(out: Path, state: State, workers: Workers) -> Former:
    """Look at the tree of a former port. Raises PortError."""
    tree = walk(out, skip=frozenset())
    ours = [file for file in tree.files if file.path in state.outputs]
    digests = workers.map(_digest, [_DigestTask(out, file.path) for file in ours], [file.size for file in ours])
    return Former(out, state, tree, {file.path: found for file, found in zip(ours, digests, strict=True)})


def wanted(tree: Tree, result: Result) -> dict[str, str]:
    """The digest of each file that a port comes to, without the tree's user's own."""
    found = {file.path: result.looks[file.path].digest for file in tree.files}
    found |= {path: one.output for path, one in result.ported.items()}
    return found | {path: digest(text.encode()) for path, text in result.added.items()}


def kept(before: Former, new: dict[str, str]) -> list[str]:
    """The files that their user changed and that stay so. Raises PortError where the port changes them too."""
    conflicts: list[str] = []
    keep: list[str] = []
    for path in sorted(before.digests):
        if not before.changed(path) or before.digests[path] == new.get(path):
            continue
        (keep if new.get(path) == before.state.outputs[path] else conflicts).append(path)
    foreign = [file.path for file in before.tree.files if file.path not in before.state.outputs and file.path in new]
    conflicts += [path for path in foreign if file_digest(before.out / path) != new[path]]
    if conflicts:
        more = f" and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise PortError(f"{before.out}: changed there and by this port: {', '.join(conflicts[:_NAMED])}{more}: carry "
                        f"your changes over to the source tree, or give --force to lose them")
    return keep


@contextmanager
def stage(out: Path) -> Iterator[Path]:
    """A new directory beside the place of a tree, removed with all that is in it at the end."""
    partial = out.parent / f".{out.name}.ring3-{os.getpid()}"
    try:
        partial.mkdir()
    except OSError as error:
        raise no_room(partial, error) from None
    try:
        yield partial
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for folder, names, _ in os.walk(path):  # a directory that may not be written can be emptied then
            for name in names:
                full = os.path.join(folder, name)
                if not os.path.islink(full):
                    os.chmod(full, 0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Filling:
    """Completes a stage in which the changed texts lie already."""

    def __init__(self, partial: Path, root: Path, result: Result, before: Former | None) -> None:
        self.partial, self.root, self.result, self.before = partial, root, result, before

    def file(self, file: File, new: str) -> None:
        place = self.partial / file.path
        before = self.before
        if before and before.state.outputs.get(file.path) == new and file.path in before.digests:
            place.unlink(missing_ok=True)
            if self._link(before.out / file.path, place, file.mode):
                return
        if place.exists():
            os.chmod(place, file.mode)
        elif new.startswith(LINK):
            place.symlink_to(os.readlink(self.root / file.path))
        else:
            shutil.copyfile(self.root / file.path, place)
            # What a former port had otherwise must look new to a build, whatever its time in the source.
            (shutil.copymode if before else shutil.copystat)(self.root / file.path, place)

    def _link(self, old: Path, place: Path, mode: int) -> bool:
        if old.is_symlink():
            place.symlink_to(os.readlink(old))
            return True
        if old.stat().st_mode & 0o7777 != mode:
            return False
        self.carry(old, place)
        return True

    @staticmethod
    def carry(old: Path, place: Path) -> None:
        """Take a file of the former tree over, with its time."""
        if old.is_symlink():
            place.symlink_to(os.readlink(old))
            return
        try:
            os.link(old, place)
        except OSError:  # a file system without links
            shutil.copy2(old, place)


def fill(partial: Path, root: Path, tree: Tree, result: Result, before: Former | None) -> Iterator[None]:
    """Complete a stage, a step for each file. Raises PortError, and Interrupted between two files."""
    new = wanted(tree, result)
    filling = _Filling(partial, root, result, before)
    directories = {path: mode for path, mode in before.tree.directories if path not in before.state.directories
                   } if before else {}
    directories |= tree.directories
    try:
        for path in directories:
            (partial / path).mkdir(exist_ok=True, parents=True)
        for file in tree.files:
            interrupts.checkpoint()
            if file.path not in result.added:
                filling.file(file, new[file.path])
            yield
        for path, text in result.added.items():
            if before and before.digests.get(path) is not None and before.state.outputs[path] == new[path]:
                filling.carry(before.out / path, partial / path)
            else:
                (partial / path).write_text(text)
        if before:
            for file in before.tree.files:
                interrupts.checkpoint()
                if file.path not in new and file.path not in before.state.outputs:
                    (partial / file.path).parent.mkdir(exist_ok=True, parents=True)
                    filling.carry(before.out / file.path, partial / file.path)
        for path, mode in reversed(directories.items()):
            os.chmod(partial / path, mode)
    except (OSError, shutil.Error) as error:
        if isinstance(error, OSError) and error.filename:
            raise PortError(f"{error.filename}: {error.strerror}: make room, or choose another place with -o") from None
        raise PortError(f"{partial}: {error}: make room, or choose another place with -o") from None


def put_in_place(partial: Path, out: Path) -> None:
    """Make a complete stage the tree; what was in its place goes into the stage's. Raises PortError."""
    try:
        if not out.exists() and not out.is_symlink():
            partial.rename(out)
        elif not _exchange(partial, out):
            aside = partial.with_name(f"{partial.name}-old")
            out.rename(aside)
            partial.rename(out)
            aside.rename(partial)
    except OSError as error:
        raise PortError(f"{out}: {error.strerror}: choose another place with -o") from None


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step, where the file system can."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library without it
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
