"""Chunks of a trace file: some thousand records, compressed, with what a reader must know to pass them over.

A file is only ever appended to, a chunk in one write, and each chunk stands for itself. So a file whose writer was
killed, or which was damaged, is read but for what is missing.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from hypercalls.layout import TRACE_RECORD_SIZE
from hypercalls.structs import TRACE
from hypervisor.trace.format import CHUNK_CHECKED, CHUNK_HEADER, CHUNK_MAGIC, CHUNK_RECORDS

RECORD = np.dtype(TRACE.ctype)
"""A record; its fields are those of hypercalls.structs.TRACE."""
Records = NDArray[Any]
"""Records as a NumPy array of RECORD."""
_WHOLE = np.dtype(f"V{RECORD.itemsize}")

# 14 million records a second of xv6's tests at a seventh of their size; level 3 is half as fast and saves nothing.
_LEVEL = 1
_MOST_STORED = CHUNK_RECORDS * TRACE_RECORD_SIZE * 2


class Chunk(NamedTuple):
    """A chunk of a file: where it is stored (bytes from the file's start) and what it holds."""

    at: int
    stored: int
    records: int
    crc: int
    first_tsc: int
    last_tsc: int


def read_header(data: mmap.mmap | bytes, at: int) -> Chunk | None:
    """The chunk whose header stands at `at`, where there are bytes enough for one; None where there is none."""
    magic, stored, records, crc, first, last, check, _ = CHUNK_HEADER.unpack_from(data, at)
    checked = zlib.crc32(data[at : at + CHUNK_CHECKED]) == check
    if magic != CHUNK_MAGIC or not checked or not 0 < records <= CHUNK_RECORDS or not 0 < stored <= _MOST_STORED:
        return None
    return Chunk(at + CHUNK_HEADER.size, stored, records, crc, first, last)


# NumPy moves structures a field at a time. As mere bytes they move ten to twenty times faster.


def taken(records: Records, which: NDArray[Any] | list[int]) -> Records:
    """`records[which]`, for a mask or indices."""
    return records.view(_WHOLE)[which].view(RECORD)


def joined(parts: list[Records]) -> Records:
    """`np.concatenate(parts)`. One part is not copied."""
    return np.concatenate([part.view(_WHOLE) for part in parts]).view(RECORD) if len(parts) > 1 else parts[0]


def copied(records: Records) -> Records:
    """`records.copy()`"""
    return records.view(_WHOLE).copy().view(RECORD)


class Packer:
    """Makes chunks. Not for several threads at once."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL)

    def pack(self, records: bytes) -> bytes:
        """The chunk that holds `records`, at least one and at most CHUNK_RECORDS."""
        tsc = np.frombuffer(records, RECORD)["tsc"]
        stored = self._zstd.compress(records)
        fields = (CHUNK_MAGIC, len(stored), len(tsc), zlib.crc32(stored), int(tsc.min()), int(tsc.max()))
        check = zlib.crc32(CHUNK_HEADER.pack(*fields, 0, 0)[:CHUNK_CHECKED])
        return CHUNK_HEADER.pack(*fields, check, 0) + stored


class ChunkFile:
    """The chunks of an open file, found without unpacking them.

    `damaged`: places where something is that is no chunk. `cut`: the file ends within a chunk.
    """

    def __init__(self, data: mmap.mmap | bytes, start: int) -> None:
        self._data = data
        self._zstd = zstandard.ZstdDecompressor()
        self.damaged, self.cut = 0, False
        self.chunks = list(self._find(start))

    def _find(self, at: int) -> Iterator[Chunk]:
        end = len(self._data)
        while at < end:
            if end - at < CHUNK_HEADER.size:
                self.cut = True
                return
            found = read_header(self._data, at)
            if found is None:
                self.damaged += 1
                at = self._data.find(CHUNK_MAGIC, at + 1)
                if at < 0:
                    return
                continue
            if found.at + found.stored > end:
                self.cut = True
                return
            yield found
            at = found.at + found.stored

    def records(self, chunk: Chunk) -> Records | None:
        """The records of `chunk`; None where it is damaged."""
        return unpack(self._zstd, chunk, self._data)


def unpack(zstd: zstandard.ZstdDecompressor, chunk: Chunk, data: mmap.mmap | bytes) -> Records | None:
    """The records of a chunk of `data`; None where it is damaged."""
    stored = data[chunk.at : chunk.at + chunk.stored]
    size = chunk.records * TRACE_RECORD_SIZE
    if zlib.crc32(stored) != chunk.crc:
        return None
    try:
        whole = zstd.decompress(stored, max_output_size=size)
    except zstandard.ZstdError:
        return None
    return np.frombuffer(whole, RECORD) if len(whole) == size else None
