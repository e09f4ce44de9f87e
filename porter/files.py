"""Writing files so that each is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from porter.errors import PortError


class Pending:
    """Files written beside their places, to be put there together. Names are hidden and carry our process id."""

    def __init__(self) -> None:
        self._renames: list[tuple[Path, Path]] = []

    def write(self, path: Path, content: bytes, like: Path | None = None) -> None:
        """Write what is to become `path`; a new file gets the permissions of `like`. Raises PortError where there is no
        room or no permission."""
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if target.exists() and not target.is_file():  # a device or a pipe: nothing to rename into
            self._direct(path, content)
            return
        partial = target.parent / f".{target.name}.ring3-{os.getpid()}"
        self._renames.append((partial, target))
        try:
            partial.write_bytes(content)
            if target.exists():
                os.chmod(partial, target.stat().st_mode & 0o7777)
            elif like:
                os.chmod(partial, like.stat().st_mode & 0o777)
        except OSError as error:
            raise unwritable(path, error) from None

    def _direct(self, path: Path, content: bytes) -> None:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise unwritable(path, error) from None

    def put_in_place(self) -> None:
        """Rename all. Raises PortError."""
        while self._renames:
            partial, path = self._renames[0]
            try:
                partial.rename(path)
            except OSError as error:
                raise unwritable(path, error) from None
            del self._renames[0]

    def discard(self) -> None:
        """Remove what is not in place."""
        for partial, _ in self._renames:
            partial.unlink(missing_ok=True)
        self._renames.clear()


def no_room(place: Path, error: OSError) -> PortError:
    """A file of a tree in the making cannot be written."""
    return PortError(f"{place.parent}: cannot be written ({error.strerror or error}): make room, or choose another "
                     f"place with -o")


def unwritable(path: Path, error: OSError) -> PortError:
    return PortError(f"{path}: cannot be written ({error.strerror or error}); name another file")


@contextmanager
def pending() -> Iterator[Pending]:
    """Files to be written; those not put in place by the end are removed."""
    files = Pending()
    try:
        yield files
    finally:
        files.discard()


def write_files(outputs: Sequence[tuple[Path, bytes]]) -> None:
    """Write files, all or none as far as the file system can. Raises PortError."""
    with pending() as files:
        for path, content in outputs:
            files.write(path, content)
        files.put_in_place()
