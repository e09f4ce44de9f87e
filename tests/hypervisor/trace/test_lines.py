"""What is written of many records at once: times of all sizes, and texts that are remembered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hypervisor.trace import lines
from hypervisor.trace.lines import LineWriter, side_by_side, time_texts
from hypervisor.trace.reader import UNFINISHED, open_trace
from tests.hypervisor.trace.traces import BEGIN, end, numbered, record, write


@pytest.mark.parametrize("most", [0, 9, 10**9 - 1, 10**9, 10**13 - 1, 10**13, 10**17])
def test_times_are_written_as_format_writes_them(most: int) -> None:
    """Of one width, as wide as the widest needs with room for a sign; Python's own formatting is the oracle."""
    times = np.array([0, 1, most, -most, most // 3, -(most // 7)], np.int64)
    found = side_by_side(time_texts(times))
    assert len({len(text) for text in found}) == 1 and len(found[0]) >= 14
    for time, text in zip(times.tolist(), found, strict=True):
        whole, rest = divmod(abs(time), 10**9)
        assert text == f"{'-' * (time < 0)}{whole}.{rest:09d}".rjust(len(text))


def test_no_times() -> None:
    assert side_by_side(time_texts(np.array([], np.int64))) == []


_IRET, _SHORT = 23, 1 << 17


def test_what_is_remembered_is_what_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where more texts come than are kept, where only the stack or the address space differ, in any time."""
    latencies = (0, 1, 999, _SHORT - 3, _SHORT - 2, _SHORT - 1, _SHORT, 10**9, 0xFFFF_FFFF)
    made = [record(number=_IRET if index % 3 else 1, after=index, eip=0x10_0000 + index % 50, esp=0x8000 + index % 7,
                   cr3=index % 5 << 12, latency=latencies[index % len(latencies)]) for index in range(200)]  # fmt: skip
    trace = open_trace(write(tmp_path, BEGIN + numbered(*made) + end(200, len(made))))
    records = np.concatenate(list(trace.ordered()))
    records["sequence"][::11] = UNFINISHED
    alone = [records[at : at + 1] for at in range(len(records))]
    lines_alone = "".join(LineWriter(trace).lines(one) for one in alone)
    json_alone = "".join(LineWriter(trace).json_lines(one) for one in alone)
    writer = LineWriter(trace)
    assert writer.lines(records) == lines_alone == writer.lines(records)
    assert writer.json_lines(records) == json_alone == writer.json_lines(records)
    assert "iret(frame=0x00008006)" in lines_alone and " no end " in lines_alone and ">4.29 s" in lines_alone
    shown = [json.loads(line) for line in json_alone.splitlines()]
    assert {line["cr3"] for line in shown} == {0, 0x1000, 0x2000, 0x3000, 0x4000}
    assert {line["latency_ns"] for line in shown} == {None, *(float(cycles) for cycles in latencies if cycles)}
    monkeypatch.setattr(lines, "_MOST_KNOWN", 7)
    few = LineWriter(trace)
    assert "".join(few.lines(records[at : at + 20]) for at in range(0, len(records), 20)) == lines_alone
