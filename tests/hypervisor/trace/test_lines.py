"""What is written of many records at once: times of all sizes, and texts that are remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hypervisor.trace import lines
from hypervisor.trace.lines import LineWriter, time_texts
from hypervisor.trace.reader import open_trace
from tests.hypervisor.trace.traces import BEGIN, end, numbered, record, write


@pytest.mark.parametrize("most", [0, 9, 10**9 - 1, 10**9, 10**13 - 1, 10**13, 10**17])
def test_times_are_written_as_format_writes_them(most: int) -> None:
    """Of one width, as wide as the widest needs with room for a sign; Python's own formatting is the oracle."""
    times = np.array([0, 1, most, -most, most // 3, -(most // 7)], np.int64)
    found = time_texts(times)
    assert len({len(text) for text in found}) == 1 and len(found[0]) >= 14
    for time, text in zip(times.tolist(), found, strict=True):
        whole, rest = divmod(abs(time), 10**9)
        assert text == f"{'-' * (time < 0)}{whole}.{rest:09d}".rjust(len(text))


def test_no_times() -> None:
    assert time_texts(np.array([], np.int64)) == []


def test_what_is_remembered_is_what_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where more texts come than are kept."""
    made = [record(number=1 + index % 3, after=index, eip=0x10_0000 + index % 50) for index in range(200)]
    trace = open_trace(write(tmp_path, BEGIN + numbered(*made) + end(200, len(made))))
    records = np.concatenate(list(trace.ordered()))
    one_by_one = "".join(LineWriter(trace).lines(records[at : at + 1]) for at in range(len(records)))
    writer = LineWriter(trace)
    assert writer.lines(records) == one_by_one == writer.lines(records)
    monkeypatch.setattr(lines, "_MOST_KNOWN", 7)
    few = LineWriter(trace)
    assert "".join(few.lines(records[at : at + 20]) for at in range(0, len(records), 20)) == one_by_one
