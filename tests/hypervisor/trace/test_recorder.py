"""The recorder against a ring that the test fills."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypercalls import layout
from hypercalls.structs import TRACE, TraceKind
from hypervisor.clock import read_tsc, tsc_hz
from hypervisor.loaders.symbols import Symbols
from hypervisor.state import StateFile
from hypervisor.trace.format import TraceError
from hypervisor.trace.reader import UNFINISHED, Trace, open_trace
from hypervisor.trace.recorder import Recorder
from hypervisor.trace.recording import Recording, TraceConfig
from hypervisor.trace.selection import Selection

SLOTS = 16
DEVICES = [{"name": "UART", "ports": [[0x3F8, 0x3FF]], "memory": []}]


class Ring:
    """The monitor's end of the ring: `put` loses what does not fit, as hypervisor/monitor/trace.c does."""

    def __init__(self) -> None:
        self.state = StateFile(SLOTS)
        self.control = self.state.control

    def put(self, eip: int, tsc: int = 0) -> bool:
        if self.control.trace_head - self.control.trace_tail >= SLOTS:
            self.control.trace_lost += 1
            return False
        head = self.control.trace_head
        image = TRACE.ctype(tsc=tsc or read_tsc(), kind=TraceKind.HYPERCALL, number=176, eip=eip, sequence=head + 1)
        at = layout.TRACE_OFFSET + head % SLOTS * layout.TRACE_RECORD_SIZE
        self.state.window(at, layout.TRACE_RECORD_SIZE)[:] = bytes(image)
        self.control.trace_head = head + 1
        return True


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring()
    yield ring
    ring.state.close()


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.elf"
    path.write_bytes(b"a kernel")
    return path


class Session:
    """A recorder with its recording, begun and ended together."""

    def __init__(self, ring: Ring, path: Path, kernel: Path, **how: Any) -> None:
        self.recorder = Recorder(ring.state, kernel, "guest", lambda: Symbols(kernel), lambda: DEVICES, {0})
        selection = how.pop("selection", Selection("hypercall,exit"))
        self.recording = how.pop("recording", None) or Recording(TraceConfig(path, selection, slots=SLOTS, **how))

    def start(self) -> None:
        self.recorder.start(self.recording)

    def stop(self, guest_ended: bool = True, finish: bool = True) -> None:
        self.recorder.stop(guest_ended)
        if finish:
            self.recording.finish()

    @property
    def problem(self) -> str:
        return self.recorder.problem


def recorder(ring: Ring, path: Path, kernel: Path, **how: Any) -> Session:
    return Session(ring, path, kernel, **how)


def filled(ring: Ring, session: Session, first: int, last: int) -> None:
    """Put records of `first` to `last` into the ring without losing any."""
    for number in range(first, last + 1):
        while not ring.put(number):
            session.recorder.call()
            time.sleep(0.001)


@contextlib.contextmanager
def quiet(recorder: Recorder) -> Iterator[None]:
    """Let the recorder's thread wait until the end of the block."""
    waiting = recorder._called.wait
    go = threading.Event()
    recorder._called.wait = lambda _timeout=None: go.wait()  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        recorder._called.wait = waiting  # type: ignore[method-assign]
        go.set()


def recorded(ring: Ring, path: Path) -> Trace:
    trace = open_trace(path)
    assert ring.control.trace_tail == ring.control.trace_head
    return trace


def test_every_record_reaches_the_file(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    filled(ring, recording, 0, 10 * SLOTS + 2)
    recording.stop()
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert [record.eip for record in trace] == list(range(10 * SLOTS + 3))
    assert trace.condition.complete and trace.condition.damaged == 0
    assert trace.condition.lost == recording.recorder.lost == ring.control.trace_lost
    assert trace.header.kernel == str(kernel) and trace.header.kinds == 1 << TraceKind.STACK | 0b110
    assert trace.header.guest == "guest" and trace.header.only == "hypercall,exit" and trace.header.devices == DEVICES
    assert ring.control.trace_mask == 0


def test_lost_records_are_counted_in_the_file(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    with quiet(recording.recorder):
        recording.start()
        for number in range(3 * SLOTS):
            ring.put(number)
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert [record.eip for record in trace] == list(range(SLOTS))
    assert trace.condition.lost == recording.recorder.lost == 2 * SLOTS


def test_what_was_in_the_ring_before_is_not_recorded(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    for number in range(5):
        ring.put(number)
    ring.control.trace_lost = 3
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    filled(ring, recording, 5, 7)
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert [record.eip for record in trace] == [5, 6, 7]
    assert trace.condition.lost == 0 and trace.condition.damaged == 0 and trace.condition.complete


def test_several_recordings_one_after_the_other(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    for round_ in range(3):
        recording = recorder(ring, tmp_path / str(round_), kernel)
        recording.start()
        filled(ring, recording, 100 * round_, 100 * round_ + 20)
        recording.stop(guest_ended=False)
        found = [record.eip for record in open_trace(tmp_path / str(round_))]
        assert found == list(range(100 * round_, 100 * round_ + 21))


def test_one_recording_at_a_time(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    with pytest.raises(TraceError, match=r"guest is being recorded to .*trace; end that first: ring3 trace stop guest"):
        recording.recorder.start(Recording(TraceConfig(tmp_path / "second")))
    assert not (tmp_path / "second").exists()
    recording.stop()


def test_a_flight_recorder_keeps_what_came_last(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    second = tsc_hz()
    recording = recorder(ring, tmp_path / "trace", kernel, keep=10.0)
    with quiet(recording.recorder):
        recording.start()
        now = read_tsc()
        for after in (1, 5, 21, 22, 30):
            ring.put(after, tsc=now + after * second)
            recording.recorder._drain(recording.recording)
        with (tmp_path / "dump").open("wb") as file:
            assert recording.recording.dump(file.fileno()) == pytest.approx(9, abs=0.5)
    recording.stop()
    for name in ("trace", "dump"):
        trace = open_trace(tmp_path / name)
        assert [record.eip for record in trace] == [21, 22, 30] and trace.condition.complete, name
        assert trace.header.keep == 10 and trace.condition.damaged == 0


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_end(ring: Ring, tmp_path: Path, kernel: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("hypervisor.trace.recording._PATIENCE_SECONDS", 0.05)
    reading, writing = os.pipe()
    while True:  # fill it
        os.set_blocking(writing, False)
        try:
            os.write(writing, bytes(65536))
        except BlockingIOError:
            break
    recording = recorder(ring, tmp_path / "pipe", kernel, fd=writing)
    with pytest.raises(TraceError, match="nobody reads it"):
        recording.start()
    os.read(reading, 8192)
    recording.start()
    ring.put(1)
    os.close(reading)
    recording.stop()
    assert "Broken pipe" in recording.problem


def test_a_recording_that_failed_makes_room_for_the_next(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    reading, writing = os.pipe()
    failing = recorder(ring, tmp_path / "pipe", kernel, fd=writing)
    failing.start()
    os.close(reading)
    ring.put(1)
    failing.recorder.call()
    deadline = time.monotonic() + 10
    while not failing.problem and time.monotonic() < deadline:
        time.sleep(0.01)
    failing.recorder.start(Recording(TraceConfig(tmp_path / "trace", slots=SLOTS)))
    ring.put(2)
    recording = failing.recorder.stop()
    assert recording
    recording.finish()
    assert [record.eip for record in open_trace(tmp_path / "trace")] == [2]


def test_a_slow_ring_is_written_without_a_call(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    """So that a recorder that is killed has lost little."""
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    ring.put(7)
    deadline = time.monotonic() + 10
    while not len(open_trace(tmp_path / "trace")) and time.monotonic() < deadline:
        time.sleep(0.01)
    trace = open_trace(tmp_path / "trace")
    assert [record.eip for record in trace] == [7] and not trace.condition.complete
    recording.stop()


def test_operations_that_never_ended_are_records(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    ring.put(1)
    ring.control.open_operation = TRACE.ctype(tsc=5, kind=TraceKind.HYPERCALL, number=74, eip=2)
    ring.control.open_exit = TRACE.ctype(tsc=6, kind=TraceKind.EXIT, number=2, eip=3)
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert sorted((record.kind, record.sequence) for record in trace) == [
        (TraceKind.HYPERCALL, UNFINISHED), (TraceKind.HYPERCALL, 1), (TraceKind.EXIT, UNFINISHED)]  # fmt: skip
    assert trace.condition.complete


def test_a_restarted_guest_goes_on_in_the_same_file(tmp_path: Path, kernel: Path) -> None:
    recording = None
    for boot in range(3):
        ring = Ring()
        session = recorder(ring, tmp_path / "trace", kernel, recording=recording)
        recording = session.recording
        session.start()
        ring.put(boot)
        session.stop(finish=boot == 2)
        ring.state.close()
    trace = open_trace(tmp_path / "trace")
    assert [record.eip for record in trace] == [0, 1, 2]
    condition = trace.condition
    assert condition.boots == 3 and condition.complete and condition.damaged == 0


@pytest.mark.parametrize("head", [SLOTS + 1, 2**64 - 1])
def test_a_ring_that_the_guest_damaged_stops_the_recording(ring: Ring, tmp_path: Path, kernel: Path, head: int) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    ring.control.trace_head = head
    recording.stop()
    assert "the guest has overwritten its trace ring" in recording.problem and "\n" not in recording.problem
    assert ring.control.trace_mask == 0
    assert not open_trace(tmp_path / "trace").condition.complete


def test_a_full_disk_stops_the_recording_only(ring: Ring, tmp_path: Path, kernel: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()

    def full(_fd: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hypervisor.trace.recording.os.write", full)
    ring.put(1)
    recording.stop()
    assert "No space left on device; make room" in recording.problem
    monkeypatch.undo()
    assert len(open_trace(tmp_path / "trace")) == 0


@pytest.mark.parametrize(("place", "reason"), [("", "Is a directory"), ("none/trace", "No such file or directory")])
def test_a_trace_that_cannot_be_written_is_refused(ring: Ring, tmp_path: Path, kernel: Path, place: str,
                                                   reason: str) -> None:  # fmt: skip
    with pytest.raises(TraceError, match=f"cannot be written .{reason}.; choose another file"):
        recorder(ring, tmp_path / place, kernel).start()


def test_the_kernel_is_not_overwritten(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    (tmp_path / "link").symlink_to(kernel)
    with pytest.raises(TraceError, match="is the kernel itself"):
        recorder(ring, tmp_path / "link", kernel).start()
    assert kernel.read_bytes() == b"a kernel"


def test_records_are_as_large_as_their_slots() -> None:
    assert ctypes.sizeof(TRACE.ctype) == layout.TRACE_RECORD_SIZE
