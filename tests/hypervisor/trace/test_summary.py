"""Figures over traces whose figures are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypercalls import by_name
from hypercalls.structs import TRACE, DeviceAccess, TraceKind
from hypervisor.trace.callers import Callers
from hypervisor.trace.reader import open_trace
from hypervisor.trace.summary import Latency, Row, Summary, Table, summarise
from tests.hypervisor.trace.traces import BEGIN, HEADER, START, end, numbered, record, write

IN8, OUT8, IRET = (by_name[name].number for name in ("in8", "out8", "iret"))
MILLION = 1_000_000


class Halves(Callers):
    """Two functions: `low` below 0x1000, `high` from there on."""

    def __init__(self) -> None:
        super().__init__(HEADER)

    def symbol(self, cpl: int, eip: int) -> str:
        return "(user code)" if cpl == 3 else "low" if eip < 0x1000 else "high"


def about(value: float) -> Any:
    """Percentiles are told to a bucket of 1.6 %."""
    return pytest.approx(value, rel=0.01)


def summary(folder: Path, *records: bytes, seconds: float = 1e-3) -> Summary:
    path = write(folder, BEGIN, numbered(*records), end(round(seconds * 1e9), len(records)))
    return made(path)


def made(path: Path) -> Summary:
    trace = open_trace(path)
    trace.callers = Halves()
    return summarise(trace)


def counts(table: Table) -> dict[str, int]:
    return {row.name: row.count for row in table.rows}


def test_hypercalls(tmp_path: Path) -> None:
    latencies = [*range(100, 200), 10_100]
    found = summary(tmp_path, *[record(number=OUT8, latency=latency) for latency in latencies],
                    *[record(number=IN8, latency=50)] * 303, record(TraceKind.DEVICE, 2))  # fmt: skip
    assert found.table("hypercall").rows == [
        Row("in8", 303, 0.75, 303_000, Latency(15_150, 50, 50, 50, 50, 50, [(5, 303)])),
        Row("out8", 101, 0.25, 101_000, Latency(25_050, about(25_050 / 101), about(150), about(190), about(199),
                                                about(10_100), [(6, 28), (7, 72), (13, 1)])),
    ]


def test_an_operation_that_never_ended_counts_but_has_no_latency(tmp_path: Path) -> None:
    path = write(tmp_path, BEGIN, numbered(record(number=OUT8, latency=100)), record(number=OUT8), record(number=IRET),
                 end(10, 1))  # fmt: skip
    rows = {row.name: row for row in made(path).table("hypercall").rows}
    assert rows["out8"].count == 2 and rows["out8"].latency == Latency(100, 100, *[about(100)] * 4, [(6, 1)])
    assert rows["iret"].count == 1 and rows["iret"].latency is None


def test_callers(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        *[record(number=OUT8, eip=0x10, latency=1)] * 2, *[record(number=IN8, eip=0x20, latency=4)] * 3,
        record(number=IRET, eip=0x2000, latency=10),
        *[record(number=by_name["int"].number, cpl=3, eip=at) for at in (0x10, 0x2000)],
        record(TraceKind.INTERRUPT, 0x20, eip=0x10),
    )  # fmt: skip
    table = found.table("caller")
    assert counts(table) == {"low": 5, "(user code)": 2, "high": 1}
    assert [row.most for row in table.rows] == ["in8", "int", "iret"]
    assert table.rows[0].latency == Latency(14, 2.8, 4, 4, 4, 4, [(0, 2), (2, 3)])


def test_events_and_kinds(tmp_path: Path) -> None:
    found = summary(
        tmp_path,
        *[record(TraceKind.INTERRUPT, 0x20)] * 3, record(TraceKind.INTERRUPT, 0x2E),
        *[record(TraceKind.EXCEPTION, 14)] * 2,
        *[record(TraceKind.EXIT, 1, latency=1000)] * 2,
        record(TraceKind.TLB_FILL, 2, latency=7), record(TraceKind.TLB_FILL, 0, latency=9),
        record(TraceKind.SWITCH, 0), record(TraceKind.IDLE, 0, latency=5),
    )  # fmt: skip
    assert counts(found.table("interrupt")) == {"vector 0x20": 3, "vector 0x2e": 1}
    assert counts(found.table("exception")) == {"#PF page fault": 2}
    assert counts(found.table("exit")) == {"port_in": 2}
    kinds = {"interrupt": 4, "exception": 2, "exit": 2, "tlb_fill": 2, "idle": 1, "switch": 1}
    assert counts(found.table("kind")) == kinds
    assert sum(row.share for row in found.table("kind").rows) == pytest.approx(1)
    titles = ["records", "exits", "interrupts", "exceptions", "address spaces"]
    assert [table.title for table in found.tables()] == titles


def test_emulated_instructions_by_mnemonic_and_devices_by_place(tmp_path: Path) -> None:
    to_cr0, from_cr0 = (int.from_bytes(code, "little") for code in (b"\x0f\x22\xc0\x90", b"\x0f\x20\xc0\x90"))
    found = summary(
        tmp_path,
        *[record(TraceKind.EMULATED, 0x22, args=(code,)) for code in (to_cr0, from_cr0, to_cr0)],
        record(TraceKind.EMULATED, 0xF4, args=(0xF4,)),
        *[record(TraceKind.DEVICE, DeviceAccess.PORT_OUT, args=(0x20,))] * 2,
        record(TraceKind.DEVICE, DeviceAccess.MMIO_READ, args=(0xFEE0_0020,)),
    )  # fmt: skip
    assert counts(found.table("emulated")) == {"mov": 3, "hlt": 1}
    assert [(row.name, row.count, row.most) for row in found.table("emulated-caller").rows] == [("low", 4, "mov")]
    assert counts(found.table("access")) == {"port_out 0x0020": 2, "mmio_read 0xfee00020 local APIC": 1}
    assert counts(found.table("device")) == {"(nothing there)": 2, "local APIC": 1}


def test_latencies_beyond_what_a_record_can_tell_are_counted(tmp_path: Path) -> None:
    assert summary(tmp_path, record(latency=0xFFFF_FFFF), record(latency=1)).overlong == 1


def test_nothing_recorded_is_no_error(tmp_path: Path) -> None:
    found = summary(tmp_path)
    assert found.tables() == [] and found.table("caller").rows == [] and found.table("hypercall").rows == []


def test_a_million_records(tmp_path: Path) -> None:
    records = np.zeros(MILLION, np.dtype(TRACE.ctype))
    random = np.random.default_rng(1)
    records["tsc"] = START + np.arange(MILLION)
    records["kind"] = random.choice([TraceKind.HYPERCALL] * 6 + [TraceKind.DEVICE, TraceKind.EXIT], MILLION)
    records["number"] = random.integers(1, 12, MILLION)
    records["eip"] = random.integers(0, 5000, MILLION)
    records["latency"] = random.integers(0, 10_000, MILLION)
    records["sequence"] = np.arange(1, MILLION + 1)
    path = write(tmp_path, BEGIN, records.tobytes(), end(MILLION, MILLION))
    tables = made(path).tables()
    assert sum(row.count for row in tables[0].rows) == MILLION
