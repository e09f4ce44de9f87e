"""The recorder against a ring that the test fills."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypercalls import layout
from hypercalls.structs import TRACE, TraceKind
from hypervisor.state import StateFile
from hypervisor.trace.format import TraceError
from hypervisor.trace.reader import UNFINISHED, Trace, open_trace
from hypervisor.trace.recorder import Recorder, TraceConfig

SLOTS = 16


class Ring:
    """The monitor's end of the ring: `put` loses what does not fit, as hypervisor/monitor/trace.c does."""

    def __init__(self) -> None:
        self.state = StateFile(SLOTS)
        self.control = self.state.control

    def put(self, eip: int) -> bool:
        if self.control.trace_head - self.control.trace_tail >= SLOTS:
            self.control.trace_lost += 1
            return False
        head = self.control.trace_head
        image = TRACE.ctype(tsc=eip, kind=TraceKind.HYPERCALL, number=176, eip=eip, sequence=head + 1)
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


def recorder(ring: Ring, path: Path, kernel: Path, append: bool = False) -> Recorder:
    kinds = frozenset({TraceKind.HYPERCALL, TraceKind.EXIT})
    return Recorder(TraceConfig(path, kinds, SLOTS, append), ring.state, kernel)


def recorded(ring: Ring, path: Path) -> Trace:
    trace = open_trace(path)
    assert ring.control.trace_tail == ring.control.trace_head
    return trace


def test_every_record_reaches_the_file(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    for number in range(10 * SLOTS + 3):
        while not ring.put(number):
            recording.call()
            time.sleep(0.001)
    recording.stop()
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert [record.eip for record in trace] == list(range(10 * SLOTS + 3))
    assert trace.complete and trace.damaged == 0
    assert trace.lost == recording.lost == ring.control.trace_lost
    assert trace.header.kernel == str(kernel) and trace.header.kinds == ring.control.trace_mask == 0b110


def test_lost_records_are_counted_in_the_file(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    for number in range(3 * SLOTS):
        ring.put(number)
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert [record.eip for record in trace] == list(range(SLOTS))
    assert trace.lost == recording.lost == 2 * SLOTS


def test_a_slow_ring_is_written_without_a_call(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    """So that a recorder that is killed has lost little."""
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    ring.put(7)
    deadline = time.monotonic() + 10
    while not len(open_trace(tmp_path / "trace")) and time.monotonic() < deadline:
        time.sleep(0.01)
    trace = open_trace(tmp_path / "trace")
    assert [record.eip for record in trace] == [7] and not trace.complete
    recording.stop()


def test_operations_that_never_ended_are_records(ring: Ring, tmp_path: Path, kernel: Path) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    ring.put(1)
    ring.control.open_operation = TRACE.ctype(tsc=5, kind=TraceKind.HYPERCALL, number=74, eip=2)
    ring.control.open_exit = TRACE.ctype(tsc=6, kind=TraceKind.EXIT, number=2, eip=3)
    recording.stop()
    trace = recorded(ring, tmp_path / "trace")
    assert [(record.kind, record.sequence) for record in trace] == [
        (TraceKind.HYPERCALL, 1), (TraceKind.HYPERCALL, UNFINISHED), (TraceKind.EXIT, UNFINISHED)]  # fmt: skip
    assert trace.complete


def test_a_restarted_guest_goes_on_in_the_same_file(tmp_path: Path, kernel: Path) -> None:
    for boot in range(3):
        ring = Ring()
        recording = recorder(ring, tmp_path / "trace", kernel, append=boot > 0)
        recording.start()
        ring.put(boot)
        recording.stop()
        ring.state.close()
    trace = open_trace(tmp_path / "trace")
    assert [record.eip for record in trace] == [0, 1, 2]
    assert trace.boots == 3 and trace.complete and trace.damaged == 0


@pytest.mark.parametrize("head", [SLOTS + 1, 2**64 - 1])
def test_a_ring_that_the_guest_damaged_stops_the_recording(ring: Ring, tmp_path: Path, kernel: Path, head: int) -> None:
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()
    ring.control.trace_head = head
    recording.stop()
    assert "the guest has overwritten its trace ring" in recording.problem and "\n" not in recording.problem
    assert ring.control.trace_mask == 0
    assert not open_trace(tmp_path / "trace").complete


def test_a_full_disk_stops_the_recording_only(ring: Ring, tmp_path: Path, kernel: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    recording = recorder(ring, tmp_path / "trace", kernel)
    recording.start()

    def full(_fd: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hypervisor.trace.recorder.os.write", full)
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
