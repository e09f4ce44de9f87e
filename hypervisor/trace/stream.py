"""A trace that is read while it is made: from a pipe into which a guest's recorder writes it."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from numpy.typing import NDArray

from hypervisor.trace.chunks import ChunkFile, read_header, unpack
from hypervisor.trace.format import CHUNK_HEADER, TraceError, header_size, unpack_header
from hypervisor.trace.reader import Trace

_PIECE = 1 << 20  # bytes read at once


class Stream:
    """Reads from `fd`, which is closed in the end. `trace` has the header and the symbols, and no records.

    Raises TraceError where what comes is no trace. Use as a context manager.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self._name = fd, name
        self._data = b""
        self._ended = False
        self._zstd = zstandard.ZstdDecompressor()
        self._await(header_size(b""))
        size = header_size(self._data)
        self._await(size)
        self.trace = Trace(Path(name), unpack_header(self._data[:size], name), ChunkFile(b"", 0), None)
        self._data = self._data[size:]

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    def _read(self) -> None:
        data = os.read(self._fd, _PIECE)
        self._ended = not data
        self._data += data

    def _await(self, size: int) -> None:
        while len(self._data) < size and not self._ended:
            self._read()

    def until(self, deadline: float) -> Iterator[NDArray[Any]]:
        """The records that come until `deadline` (monotonic seconds), some at a time."""
        while not self._ended:
            yield from self._whole_chunks()
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                return
            self._read()
        yield from self._whole_chunks()

    def _whole_chunks(self) -> Iterator[NDArray[Any]]:
        at = 0
        while len(self._data) - at >= CHUNK_HEADER.size:
            chunk = read_header(self._data, at)
            if chunk and len(self._data) < chunk.at + chunk.stored:
                break
            records = unpack(self._zstd, chunk, self._data) if chunk else None
            if chunk is None or records is None:
                raise TraceError(f"{self._name} sends what is no trace; is it run by another version?")
            at = chunk.at + chunk.stored
            yield records
        self._data = self._data[at:]
