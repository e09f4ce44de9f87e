"""A record of what passed a card, in the format of libpcap (draft-ietf-opsawg-pcap), with nanoseconds."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from hypervisor.errors import RingError

_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1)  # link type 1: Ethernet


class Capture:
    """The file `path`, begun anew, or gone on with where `append`. RingError where it cannot be written."""

    def __init__(self, path: Path, append: bool = False) -> None:
        self.path = path
        try:
            self._file = path.open("ab" if append else "wb", buffering=0)
            if not self._file.tell():
                self._file.write(_HEADER)
        except OSError as error:
            raise RingError(f"cannot write {path} ({error.strerror}); choose another file") from None

    def add(self, frame: bytes) -> None:
        """Append a frame; a file that cannot grow keeps what it has."""
        seconds, rest = divmod(time.time_ns(), 1_000_000_000)
        record = struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame
        if not self._file.closed:
            try:
                self._file.write(record)
            except OSError:
                self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
