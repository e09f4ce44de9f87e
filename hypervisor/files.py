"""Files that are there when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hypervisor.errors import RingError


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file, which is there when it is whole. RingError where it cannot be."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        with part.open("wb") as file:
            for data in parts:
                file.write(data)
        part.rename(path)
    except OSError as error:
        raise RingError(f"{path} cannot be written ({error.strerror}); choose another file") from error
    finally:
        part.unlink(missing_ok=True)
