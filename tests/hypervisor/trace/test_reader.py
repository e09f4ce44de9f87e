"""Reading whole, damaged and cut files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypercalls.structs import TraceKind
from hypervisor.trace.format import Mark, mark
from hypervisor.trace.reader import Record, open_trace
from tests.hypervisor.trace.traces import BEGIN, START, end, numbered, record, write

THREE = numbered(record(after=10), record(TraceKind.EXIT, 1, after=20), record(after=30))


def test_a_record_comes_back_field_by_field(tmp_path: Path) -> None:
    fields: dict[str, object] = {
        "cpl": 3, "in_memory": 1, "eip": 0x8010_0000, "cr3": 0x3F_F000, "esp": 0x1234, "args": (1, 2, 3, 4, 2**32 - 1),
        "result": 6, "latency": 7, "operand": (8, 9),
    }  # fmt: skip
    trace = open_trace(write(tmp_path, BEGIN, numbered(record(number=94, after=100, **fields)), end(200, 1)))
    assert list(trace) == [Record(tsc=START + 100, kind=TraceKind.HYPERCALL, number=94, sequence=1, **fields)]  # type: ignore[arg-type]
    assert (len(trace), trace.boots, trace.lost, trace.damaged, trace.complete) == (1, 1, 0, 0, True)
    assert trace.seconds == pytest.approx(200e-9) and trace.notices() == []


def test_records_come_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    nested = numbered(record(TraceKind.EXIT, after=20), record(after=10), record(after=30))
    trace = open_trace(write(tmp_path, BEGIN, nested, end(40, 3)))
    assert [found.tsc - START for found in trace] == [10, 20, 30]
    assert [found.sequence for found in trace] == [2, 1, 3]


def test_more_records_than_one_batch(tmp_path: Path) -> None:
    count = 40_000
    records = numbered(*[record(after=at, eip=at) for at in range(count)])
    trace = open_trace(write(tmp_path, BEGIN, records, end(count, count)))
    assert [found.eip for found in trace] == list(range(count))


def test_no_records_at_all(tmp_path: Path) -> None:
    for parts in ((), (BEGIN,), (BEGIN, end(10, 0))):
        trace = open_trace(write(tmp_path, *parts))
        assert list(trace) == [] and trace.damaged == 0


@pytest.mark.parametrize("left", [1, 32, 63])
def test_a_cut_file_is_read_up_to_the_cut(tmp_path: Path, left: int) -> None:
    trace = open_trace(write(tmp_path, BEGIN, THREE, THREE[:left]))
    assert len(list(trace)) == 3 and not trace.complete and trace.damaged == 0
    assert trace.notices() == ["the recording was cut off; its last records are missing"]


def test_a_damaged_region_is_left_out_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, BEGIN, numbered(*[record(after=at) for at in range(10)]), end(40, 10))
    data = bytearray(path.read_bytes())
    at = len(data) - 64 * 6
    data[at : at + 128] = bytes(128)  # two records of zeros, as after a crash of the host
    path.write_bytes(data)
    trace = open_trace(path)
    assert len(list(trace)) == 8
    assert trace.damaged == 2 + 1  # the records, and the hole in the sequence
    assert any("damaged" in notice for notice in trace.notices())


def test_lost_records_are_added_up(tmp_path: Path) -> None:
    lost = mark(Mark.LOST, START + 15, 5 << 32 | 1), mark(Mark.LOST, START + 16, 2)
    trace = open_trace(write(tmp_path, BEGIN, THREE, *lost, numbered(record(after=50), first=4), end(90, 4)))
    assert trace.lost == (5 << 32) + 3 and len(trace) == 4 and trace.damaged == 0
    assert any("21,474,836,483 records were lost" in notice for notice in trace.notices())


def test_a_guest_that_restarted(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path, BEGIN, THREE, end(40, 3), mark(Mark.START, START + 50, 0), THREE, end(90, 3)))
    assert (trace.boots, len(trace), trace.damaged, trace.complete) == (2, 6, 0, True)


def test_unfinished_operations_are_no_gap(tmp_path: Path) -> None:
    trace = open_trace(write(tmp_path, BEGIN, THREE, record(after=40), end(90, 3)))
    assert len(trace) == 4 and trace.damaged == 0
