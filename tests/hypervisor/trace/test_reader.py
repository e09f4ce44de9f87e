"""Reading whole, damaged and cut files."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from hypercalls.structs import TRACE_STACK, TraceKind
from hypervisor.trace.format import CHUNK_RECORDS, Mark, TraceError, mark
from hypervisor.trace.reader import Record, open_trace
from tests.hypervisor.trace.traces import BEGIN, HEADER, START, chunks, end, numbered, record, write

THREE = numbered(record(after=10), record(TraceKind.EXIT, 1, after=20), record(after=30))
CUT = "the recording was cut off; its last records are missing"
GONE = "kernel /no/such/kernel.elf is gone; name another file that has its symbols with --symbols"


def test_a_record_comes_back_field_by_field(tmp_path: Path) -> None:
    fields: dict[str, object] = {
        "cpl": 3, "flags": 0x21, "eip": 0x8010_0000, "cr3": 0x3F_F000, "esp": 0x1234, "args": (1, 2, 3, 4, 2**32 - 1),
        "result": 6, "latency": 7, "operand": (8, 9),
    }  # fmt: skip
    trace = open_trace(write(tmp_path, BEGIN, numbered(record(number=94, after=100, **fields)), end(200, 1)))
    assert list(trace) == [Record(tsc=START + 100, kind=TraceKind.HYPERCALL, number=94, sequence=1, **fields)]  # type: ignore[arg-type]
    assert next(iter(trace)).in_memory and next(iter(trace)).nesting == 2
    condition = trace.condition
    assert (len(trace), condition.boots, condition.lost, condition.damaged, condition.complete) == (1, 1, 0, 0, True)
    assert trace.seconds == pytest.approx(200e-9) and trace.notices() == [GONE]


def test_records_come_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    nested = numbered(record(TraceKind.EXIT, after=20), record(after=10), record(after=30))
    trace = open_trace(write(tmp_path, BEGIN, nested, end(40, 3)))
    assert [found.tsc - START for found in trace] == [10, 20, 30]
    assert [found.sequence for found in trace] == [2, 1, 3]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_the_order_holds_across_chunks(tmp_path: Path, size: int) -> None:
    """Operations that last over many chunks, one within the other, as of a guest that sleeps in a hypercall."""
    choose = random.Random(size)
    events, open_ = [], []
    for clock in range(1, 600):
        if open_ and (choose.random() < 0.45 or len(open_) > 6):
            events.append(record(after=open_.pop(), eip=clock))
        else:
            open_.append(clock)
    events += [record(after=begun, eip=0) for begun in reversed(open_)]
    records = numbered(*events)
    parts = [records[at : at + 64 * size] for at in range(0, len(records), 64 * size)]
    trace = open_trace(write(tmp_path, BEGIN, *parts, end(1000, len(events))))
    begun = [found.tsc for found in trace]
    assert begun == sorted(begun) and len(begun) == len(events)
    assert trace.condition.damaged == 0


def test_a_stack_stands_before_what_it_belongs_to(tmp_path: Path) -> None:
    def piece(after: int, number: int) -> bytes:
        return bytes(TRACE_STACK.ctype(tsc=START + after, kind=TraceKind.STACK, number=number))

    records = numbered(piece(10, 0), piece(10, 1), record(TraceKind.DEVICE, after=15), record(after=10))
    for size in (1, 2, 3, 4):
        parts = [records[at : at + 64 * size] for at in range(0, len(records), 64 * size)]
        trace = open_trace(write(tmp_path, BEGIN, *parts, end(90, 4)))
        found = np.concatenate(list(trace.ordered(stacks=True)))
        assert [(kind, number) for kind, number in zip(found["kind"], found["number"], strict=True)] == [
            (TraceKind.STACK, 0), (TraceKind.STACK, 1), (TraceKind.HYPERCALL, 70), (TraceKind.DEVICE, 70)]
        assert len(trace) == len(list(trace)) == 2


def test_more_records_than_one_chunk(tmp_path: Path) -> None:
    count = 3 * CHUNK_RECORDS + 5
    records = numbered(*[record(after=at, eip=at) for at in range(count)])
    trace = open_trace(write(tmp_path, BEGIN, records, end(count, count)))
    assert [found.eip for found in trace] == list(range(count))
    assert [found.eip for found in trace.records(limit=3)] == [0, 1, 2]


def test_no_records_at_all(tmp_path: Path) -> None:
    for parts in ((), (BEGIN,), (BEGIN, end(10, 0))):
        trace = open_trace(write(tmp_path, *parts))
        assert list(trace) == [] and trace.condition.damaged == 0 and len(trace.to_numpy()) == 0


def test_a_cut_file_is_read_up_to_the_cut(tmp_path: Path) -> None:
    whole = HEADER.pack() + chunks(BEGIN, THREE)
    last = chunks(THREE)
    for left in range(1, len(last)):
        path = tmp_path / "trace"
        path.write_bytes(whole + last[:left])
        trace = open_trace(path)
        assert len(list(trace)) == 3 and not trace.condition.complete
        assert trace.notices()[-2:] == [CUT, GONE]


def test_a_damaged_region_is_left_out_and_told(tmp_path: Path) -> None:
    parts = [numbered(*[record(after=at) for at in range(first, first + 4)], first=first) for first in (1, 5, 9)]
    whole = [HEADER.pack() + chunks(BEGIN), *map(chunks, parts), chunks(end(40, 12))]
    for at in range(len(whole[2])):
        data = bytearray(whole[2])
        data[at] ^= 0x55
        path = tmp_path / "trace"
        path.write_bytes(whole[0] + whole[1] + bytes(data) + whole[3] + whole[4])
        trace, other = open_trace(path), open_trace(path)
        if 36 <= at < 40:
            continue  # these say nothing
        assert [record.sequence for record in trace] == [1, 2, 3, 4, 9, 10, 11, 12], at
        assert any("damaged" in notice for notice in trace.notices())
        assert trace.condition == other.condition, at  # once from reading in order, once from looking


def test_rubbish_behind_the_header_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(HEADER.pack() + bytes(1000) + chunks(BEGIN, THREE, end(40, 3)))
    trace = open_trace(path)
    assert len(list(trace)) == 3 and trace.condition.damaged == 1
    path.write_bytes(HEADER.pack() + bytes(1000))
    trace = open_trace(path)
    assert list(trace) == [] and trace.condition.damaged == 1 and not trace.condition.complete


def test_lost_records_are_added_up(tmp_path: Path) -> None:
    lost = mark(Mark.LOST, START + 15, 5 << 32 | 1), mark(Mark.LOST, START + 16, 2)
    trace = open_trace(write(tmp_path, BEGIN, THREE, *lost, numbered(record(after=50), first=4), end(90, 4)))
    assert trace.condition.lost == (5 << 32) + 3 and len(trace) == 4 and trace.condition.damaged == 0
    assert any("21,474,836,483 records were lost" in notice for notice in trace.notices())


def test_missing_numbers_are_damage(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path, BEGIN, THREE, numbered(record(after=50), first=6), end(90, 6)))
    assert trace.condition.damaged == 1


def test_a_recording_begun_late_misses_nothing(tmp_path: Path) -> None:
    late = numbered(record(after=50), record(after=60), first=4_294_967_295)
    trace = open_trace(write(tmp_path, BEGIN, late, end(90, 2)))
    assert trace.condition.damaged == 0 and len(trace) == 2


def test_a_guest_that_restarted(tmp_path: Path) -> None:
    parts = (BEGIN, THREE, end(40, 3), mark(Mark.START, START + 50, 0), THREE, end(90, 3))
    trace = open_trace(write(tmp_path, *parts))
    condition = trace.condition
    assert (condition.boots, len(trace), condition.damaged, condition.complete) == (2, 6, 0, True)


def test_unfinished_operations_are_no_gap(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path, BEGIN, THREE, record(after=40), end(90, 3)))
    assert len(trace) == 4 and trace.condition.damaged == 0


def test_what_is_chosen(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path, BEGIN, THREE, end(90, 3)))
    assert [found.kind for found in trace.records("exit")] == [TraceKind.EXIT]
    assert len(trace.to_numpy("hypercall and time > 15ns")) == 1
    with pytest.raises(TraceError, match="cannot be understood"):
        trace.to_numpy("exit and")
