"""Files that are there when they are whole, and files that are still what they were."""

from __future__ import annotations

import os
import zlib
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


def same_kernel(path: Path, crc: int, told_by: Path) -> bytes:
    """The content of a kernel that the file `told_by` tells of. RingError where it is gone or has another CRC-32."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RingError(f"kernel {path}, of which {told_by} tells, cannot be read ({error.strerror}): build it and "
                        f"make {told_by} again") from error  # fmt: skip
    if zlib.crc32(content) != crc:
        raise RingError(f"kernel {path} has changed since {told_by} was made: make that again with the new one")
    return content
