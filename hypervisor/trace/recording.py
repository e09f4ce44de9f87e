"""Where records go: to a file as they come, or, for a flight recorder, into memory until something is to be told."""

from __future__ import annotations

import errno
import os
import select
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypercalls.layout import TRACE_RECORD_SIZE
from hypervisor.clock import read_tsc, tsc_hz
from hypervisor.trace.format import CHUNK_HEADER, CHUNK_RECORDS, Header, Mark, TraceError, mark
from hypervisor.trace.selection import Selection

if TYPE_CHECKING:
    from hypervisor.trace.chunks import Packer

_PATIENCE_SECONDS = 5.0
_KEPT_MOST = 256 << 20  # bytes of a flight recorder, compressed
DEFAULT_SLOTS = 1 << 18


@dataclass(frozen=True)
class TraceConfig:
    """What to record, and where to: `path`, or a descriptor `fd` that is then ours.

    `slots`: records in the ring, a power of two from 8 on. `stack`: bytes of the guest's stack to record with each
    operation. `keep`: seconds that a flight recorder remembers; 0: record everything as it comes.
    """

    path: Path
    selection: Selection = field(default_factory=Selection)
    stack: int = 0
    keep: float = 0.0
    slots: int = DEFAULT_SLOTS
    fd: int = -1


class Recording:
    """A trace being made, of a guest that may start several times."""

    def __init__(self, config: TraceConfig) -> None:
        self.config = config
        self.recorded = 0  # records given to it, marks included
        self._fd = config.fd
        self._begun = config.fd >= 0
        if self._begun:
            os.set_blocking(self._fd, False)  # says nothing for files
        self._header = b""
        self._packer: Packer | None = None
        self._kept: deque[tuple[int, bytes]] = deque()  # last tsc and chunk
        self._kept_bytes = 0
        self._keep_cycles = 0

    def begin(self, kernel: Path, guest: str, devices: list[dict[str, object]], kinds: int) -> None:
        """Create the file and write its header; nothing where that is done. TraceError: it cannot be written."""
        if self._header:
            return
        path, config = self.config.path, self.config
        if not self._begun and path.exists() and path.samefile(kernel):
            raise TraceError(f"trace {path} is the kernel itself; choose another file")
        from hypervisor.trace.chunks import Packer  # NumPy and Zstandard only where something is recorded

        self._packer = Packer()
        frequency = tsc_hz()
        self._keep_cycles = int(config.keep * frequency)
        try:
            crc = zlib.crc32(kernel.read_bytes())
            if not self._begun:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_TRUNC, 0o666)
            header = Header(
                frequency, read_tsc(), time.time_ns(), str(kernel.resolve()), crc, guest, kinds, config.selection.only,
                config.selection.caller, config.stack, config.keep, devices,
            ).pack()  # fmt: skip
            self._header = header
            if not config.keep:
                write_all(self._fd, header)
        except OSError as error:
            raise TraceError(f"trace {path} cannot be written ({error.strerror}); choose another file") from error

    def add(self, records: bytes) -> None:
        """Take records, at least one. OSError where the file takes no more."""
        assert self._packer
        piece = CHUNK_RECORDS * TRACE_RECORD_SIZE
        for first in range(0, len(records), piece):
            chunk = self._packer.pack(records[first : first + piece])
            if self.config.keep:
                self._remember(chunk)
            else:
                write_all(self._fd, chunk)
        self.recorded += len(records) // TRACE_RECORD_SIZE

    def _remember(self, chunk: bytes) -> None:
        last = CHUNK_HEADER.unpack_from(chunk)[5]
        self._kept.append((last, chunk))
        self._kept_bytes += len(chunk)
        while len(self._kept) > 1 and (self._kept[0][0] < last - self._keep_cycles or self._kept_bytes > _KEPT_MOST):
            self._kept_bytes -= len(self._kept.popleft()[1])

    def dump(self, fd: int) -> float:
        """Write what a flight recorder remembers to `fd`; how many seconds. OSError where that takes no more."""
        from hypervisor.trace.chunks import Packer

        kept = tuple(self._kept)
        write_all(fd, self._header)
        for _, chunk in kept:
            write_all(fd, chunk)
        # A packer of our own: the recorder's thread is using the other.
        write_all(fd, Packer().pack(mark(Mark.END, read_tsc(), self.recorded)))
        return (kept[-1][0] - CHUNK_HEADER.unpack_from(kept[0][1])[4]) / tsc_hz() if kept else 0.0

    def finish(self) -> None:
        """Write what is left and close the file. Legal at any time, also twice. OSError: it takes no more."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            if self.config.keep and self._header:
                self.dump(fd)
        finally:
            os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """All of `data`, where `fd` takes it in parts, too. OSError where it takes nothing for some seconds, as a pipe
    whose reader has been stopped, so that nobody waits for that for ever."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            if not select.select([], [fd], [], _PATIENCE_SECONDS)[1]:
                raise OSError(errno.ETIMEDOUT, "nobody reads it") from None
