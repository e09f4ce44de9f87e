"""Recording: from the monitor's ring to a `Recording`, by a thread of the VMM.

Records are taken as they lie in the ring, many at once; no record is looked at. The thread comes when the
monitor calls (half of the ring is used) and a few times a second, so that little is missing from the file of a
VMM that was killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypercalls.structs import TRACE_KEPT
from hypervisor.clock import read_tsc
from hypervisor.loaders.symbols import Symbols
from hypervisor.trace.format import CHUNK_RECORDS, Mark, TraceError, mark
from hypervisor.trace.recording import Recording

if TYPE_CHECKING:
    from hypervisor.state import StateFile

_INTERVAL = 0.25  # seconds between two looks at a ring that fills slowly
_SIZE = layout.TRACE_RECORD_SIZE


class Recorder:
    """Records one start of a guest, as long as it has a recording.

    `kernel` and `name` are the guest's, `symbols` those of the kernel where it was loaded. `devices` tells those of
    the machine, as `Header.devices`. `cpus`: where the recording thread may run, which is best beside the guest.
    """

    def __init__(self, state: StateFile, kernel: Path, name: str, symbols: Callable[[], Symbols],
                 devices: Callable[[], list[dict[str, Any]]], cpus: set[int]) -> None:  # fmt: skip
        self.recording: Recording | None = None
        self.lost = 0  # records that found the ring full
        self.problem = ""  # why recording stopped before it was to
        self._kernel, self._name, self._symbols, self._devices, self._cpus = kernel, name, symbols, devices, cpus
        self._control: Any = state.control
        self._slots: int = state.trace_slots
        self._ring = state.window(layout.TRACE_OFFSET, self._slots * _SIZE)
        self._ports = state.window(layout.TRACE_PORTS_OFFSET, layout.TRACE_PORTS_SIZE)
        self._tail = 0  # records taken: ours, not the copy that the guest could change
        self._first = self._lost_before = 0
        self._called, self._ending, self._guest_ended = threading.Event(), False, False
        self._thread: threading.Thread | None = None
        self._changing = threading.Lock()

    def start(self, recording: Recording) -> None:
        """Begin to record. Legal before the guest starts, and while it runs.

        TraceError: something else is being recorded, the file cannot be written, or names in the selection fit nothing.
        """
        from hypervisor.trace.devices import Devices
        from hypervisor.trace.ring_filter import apply

        with self._changing:
            if self.recording and self.problem:
                self._abandon(self.recording)
            if self.recording:
                raise TraceError(f"guest {self._name} is being recorded to {self.recording.config.path}; end that "
                                 f"first: ring3 trace stop {self._name}")
            devices = self._devices()
            config = recording.config
            mask = apply(config.selection, self._control, self._ports, Devices(devices), self._functions)
            recording.begin(self._kernel, self._name, devices, mask)
            self._control.trace_stack = config.stack
            self._first = self._tail = self._control.trace_head
            self._control.trace_tail = self._tail
            self._lost_before = self._control.trace_lost
            self.lost, self.problem = 0, ""
            recording.add(mark(Mark.START, read_tsc(), 0))
            self.recording = recording
            self._trace(mask)
            self._ending = False
            self._thread = threading.Thread(target=self._work, args=(recording,), name="ring3-trace", daemon=True)
            self._thread.start()

    def _abandon(self, recording: Recording) -> None:
        """Let go of a recording that has come to its end too soon."""
        with contextlib.suppress(OSError):
            recording.finish()
        self.recording = None
        if self._thread:
            self._thread.join()

    def _trace(self, kinds: int) -> None:
        """Let the monitor make records of `kinds`; what a debugger has asked for stays."""
        self._control.trace_mask = kinds | self._control.trace_mask & TRACE_KEPT

    def _functions(self, fits: Callable[[str], bool]) -> list[tuple[int, int]]:
        return self._symbols().ranges(fits)

    def call(self) -> None:
        """The monitor may have rung because the ring fills: look now."""
        self._called.set()

    def stop(self, guest_ended: bool = False) -> Recording | None:
        """Record what is left; the recording, which is the caller's to finish. Legal at any time, also twice.

        `guest_ended`: its processes have ended, so what they had begun will not come to an end.
        """
        with self._changing:
            self._guest_ended = guest_ended
            recording, self.recording = self.recording, None
            if self._thread:
                self._trace(0)
                self._ending = True
                self._called.set()
                self._thread.join()
                self._thread = None
            return recording

    def _work(self, recording: Recording) -> None:
        with contextlib.suppress(OSError):  # a thread has a mask of its own (sched_setaffinity(2))
            os.sched_setaffinity(0, self._cpus)
        try:
            while not self._ending:
                self._called.wait(_INTERVAL)
                self._called.clear()
                while self._drain(recording) > self._slots // 4:
                    pass  # it fills fast: do not wait for a call
            self._drain(recording)
            self._end(recording)
        except OSError as error:
            self._give_up(recording, f"{error.strerror}; make room or choose another file")
        except _Damaged:
            self._give_up(recording, "the guest has overwritten its trace ring")

    def _drain(self, recording: Recording) -> int:
        """Move what is in the ring to the recording; how many records there were."""
        slots = self._slots
        count: int = self._control.trace_head - self._tail
        if not 0 <= count <= slots:
            raise _Damaged
        end = self._tail + count
        while self._tail < end:
            first = self._tail % slots
            last = min(first + end - self._tail, first + CHUNK_RECORDS, slots)
            # A copy: the guest could change what is being compressed. Its slots are free again as soon as it is made.
            records = bytes(self._ring[first * _SIZE : last * _SIZE])
            self._tail += last - first
            self._control.trace_tail = self._tail
            recording.add(records)
        lost = self._control.trace_lost - self._lost_before
        if lost > self.lost:
            recording.add(mark(Mark.LOST, read_tsc(), lost - self.lost))
            self.lost = lost
        return count

    def _end(self, recording: Recording) -> None:
        """Operations that never ended, because they ended the guest, are records too; then the end mark."""
        rest = b"".join(filter(partial(self._wants, recording), self._unfinished())) if self._guest_ended else b""
        recording.add(rest + mark(Mark.END, read_tsc(), self._tail - self._first))

    def _unfinished(self) -> Iterator[bytes]:
        for record in (self._control.open_operation, self._control.open_exit):
            if record.tsc:
                yield ctypes.string_at(ctypes.addressof(record), _SIZE)

    def _wants(self, recording: Recording, record: bytes) -> bool:
        from hypervisor.trace.callers import symbol_of
        from hypervisor.trace.devices import Devices
        from hypervisor.trace.ring_filter import wanted

        symbols = self._symbols()
        return wanted(recording.config.selection, record, Devices(self._devices()), partial(symbol_of, symbols))

    def _give_up(self, recording: Recording, why: str) -> None:
        self._trace(0)
        self.problem = f"trace {recording.config.path}: recording stopped early ({why})"


class _Damaged(Exception):
    """The ring's counters make no sense."""
