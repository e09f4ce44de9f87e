"""Recording: from the monitor's ring to a file, by a thread of the VMM.

Records are written as they lie in the ring, many at once; no record is looked at. The thread comes when the
monitor calls (half of the ring is used) and a few times a second, so that little is missing from the file of a
VMM that was killed.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypercalls.structs import TraceKind
from hypervisor.clock import read_tsc, tsc_hz
from hypervisor.trace.format import ALL_KINDS, Header, Mark, TraceError, mark

if TYPE_CHECKING:
    from hypervisor.state import StateFile

_INTERVAL = 0.25  # seconds between two looks at a ring that fills slowly
_PIECE = 1 << 14  # records written at once at most: their slots are free again as soon as that is done
_SIZE = layout.TRACE_RECORD_SIZE


@dataclass(frozen=True)
class TraceConfig:
    """What to record, and where to.

    `slots`: records in the ring, a power of two from 8 on. `append`: go on in a file that holds a recording
    of the same run, from before the guest restarted its machine.
    """

    path: Path
    kinds: frozenset[TraceKind] = ALL_KINDS
    slots: int = 1 << 18
    append: bool = False


class Recorder:
    """Records one guest, from before it starts until after it has ended."""

    def __init__(self, config: TraceConfig, state: StateFile, kernel: Path) -> None:
        self.config, self.kernel = config, kernel
        self.lost = 0  # records that found the ring full
        self.problem = ""  # why recording stopped before the guest did
        self._control: Any = state.control
        self._ring = state.window(layout.TRACE_OFFSET, config.slots * _SIZE)
        self._tail = 0  # records taken: ours, not the copy that the guest could change
        self._fd = -1
        self._called, self._ending = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="ring3-trace", daemon=True)

    def start(self) -> None:
        """Create the file and begin. Legal once, before the guest starts. TraceError: it cannot be written."""
        path = self.config.path
        if path.exists() and path.samefile(self.kernel):
            raise TraceError(f"trace {path} is the kernel itself; choose another file")
        frequency, start_tsc = tsc_hz(), read_tsc()
        mask = sum(1 << kind for kind in self.config.kinds)
        try:
            image = self.kernel.read_bytes()
            how = os.O_APPEND if self.config.append else os.O_TRUNC
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666)
            if not self.config.append:
                crc, kernel = zlib.crc32(image), str(self.kernel.resolve())
                _write(self._fd, Header(frequency, start_tsc, time.time_ns(), mask, kernel, crc).pack())
            _write(self._fd, mark(Mark.START, start_tsc, 0))
        except OSError as error:
            raise TraceError(f"trace {path} cannot be written ({error.strerror}); choose another file") from error
        self._control.trace_mask = mask
        self._thread.start()

    def call(self) -> None:
        """The monitor may have rung because the ring fills: look now."""
        self._called.set()

    def stop(self) -> None:
        """Record what is left and close the file. Legal when the guest's processes have ended, also twice."""
        if self._thread.ident is not None:
            self._ending = True
            self._called.set()
            self._thread.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _work(self) -> None:
        try:
            while not self._ending:
                self._called.wait(_INTERVAL)
                self._called.clear()
                while self._drain() > self.config.slots // 4:
                    pass  # it fills fast: do not wait for a call
            self._drain()
            self._finish()
        except OSError as error:
            self._give_up(f"{error.strerror}; make room or choose another file")
        except _Damaged:
            self._give_up("the guest has overwritten its trace ring")

    def _drain(self) -> int:
        """Move what is in the ring to the file; how many records there were."""
        slots = self.config.slots
        count: int = self._control.trace_head - self._tail
        if not 0 <= count <= slots:
            raise _Damaged
        end = self._tail + count
        while self._tail < end:
            first = self._tail % slots
            last = min(first + end - self._tail, first + _PIECE, slots)
            _write(self._fd, self._ring[first * _SIZE : last * _SIZE])
            self._tail += last - first
            self._control.trace_tail = self._tail
        lost = self._control.trace_lost
        if lost > self.lost:
            _write(self._fd, mark(Mark.LOST, read_tsc(), lost - self.lost))
            self.lost = lost
        return count

    def _finish(self) -> None:
        """Operations that never ended, because they ended the guest, are records too; then the end mark."""
        for record in (self._control.open_operation, self._control.open_exit):
            if record.tsc:
                _write(self._fd, ctypes.string_at(ctypes.addressof(record), _SIZE))
        _write(self._fd, mark(Mark.END, read_tsc(), self._tail))

    def _give_up(self, why: str) -> None:
        self.problem = f"trace {self.config.path}: recording stopped early ({why})"
        self._control.trace_mask = 0


class _Damaged(Exception):
    """The ring's counters make no sense."""


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
