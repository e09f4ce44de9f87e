"""Disk images: a raw file or block device as an array of sectors."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from hypervisor.errors import RingError

SECTOR = 512
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # a pipe given by mistake must not block


class DiskImage:
    """A raw image, locked against a second writer while it is open.

    `padded`: the last sector may be incomplete and reads as zeros beyond the end (files that are no disk
    images); else an incomplete last sector is left out and `leftover` tells its bytes.
    Raises RingError where the file is missing, not readable or writable, empty or in use.
    """

    def __init__(self, path: Path, *, read_only: bool = False, padded: bool = False) -> None:
        self.path, self.read_only = path, read_only
        try:
            self._fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | _OPEN_FLAGS)
        except FileNotFoundError:
            raise RingError(f"disk {path} does not exist; create it or check the path") from None
        except OSError as error:
            hint = "give a readable image" if read_only else "give a writable image or add ',ro' behind its name"
            raise RingError(f"cannot open disk {path}: {error.strerror}; {hint}") from None
        try:
            self._prepare(padded)
        except RingError:
            os.close(self._fd)
            raise

    def _prepare(self, padded: bool) -> None:
        mode = os.fstat(self._fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise RingError(f"disk {self.path} is no file or block device; give a raw disk image")
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if self.read_only else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            raise RingError(
                f"disk {self.path} is in use by another guest; end that guest or give both ',ro'"
            ) from None
        size = os.lseek(self._fd, 0, os.SEEK_END)
        self.sectors, self.leftover = divmod(size, SECTOR)
        if padded and self.leftover:
            self.sectors, self.leftover = self.sectors + 1, 0
        if not self.sectors:
            raise RingError(f"disk {self.path} is smaller than one sector ({SECTOR} bytes); give a raw disk image")

    @property
    def fd(self) -> int:
        """The open file, for the monitor to map. The image and its lock stay this object's."""
        return self._fd

    def read(self, sector: int, count: int) -> bytes:
        """`count` sectors from `sector`; zeros where the file ends early. Raises OSError."""
        wanted = count * SECTOR
        data = os.pread(self._fd, wanted, sector * SECTOR)
        return data if len(data) == wanted else data.ljust(wanted, b"\0")

    def write(self, sector: int, data: bytes) -> None:
        """Write whole sectors. Raises OSError, also for a short write (file system full)."""
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], sector * SECTOR + done)

    def flush(self) -> None:
        """Bring everything written to stable storage. Raises OSError."""
        if not self.read_only:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Release the image and its lock."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                # The monitor's mapping outlives the descriptor, and with it would the lock.
                fcntl.flock(self._fd, fcntl.LOCK_UN)
                os.close(self._fd)
            self._fd = -1
