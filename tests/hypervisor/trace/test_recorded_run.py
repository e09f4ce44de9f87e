"""Traces of real guests agree with the monitor's own counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hypercalls import by_name
from hypercalls.layout import GATES_OFFSET, HOLE
from hypercalls.structs import TraceKind
from hypervisor.console import NoConsole
from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.trace import decode
from hypervisor.trace.reader import UNFINISHED, Record, Trace, open_trace
from hypervisor.trace.recording import TraceConfig
from hypervisor.trace.selection import Selection
from hypervisor.trace.shapes import call_name
from hypervisor.trace.summary import summarise
from tests.hypervisor import guests

pytestmark = pytest.mark.usefixtures("monitor")


class Recorded:
    """A guest that was recorded to its end: the trace, and copies of the monitor's counters."""

    def __init__(self, kernel: Path, path: Path, **how: object) -> None:
        config = DomainConfig(kernel, memory=16 * MIB, trace=TraceConfig(path, **how))  # type: ignore[arg-type]
        with Domain(config) as domain:
            domain.build()
            domain.run(NoConsole())
            control = domain.control
            self.calls = {call_name(at): count for at, count in enumerate(control.calls) if count}
            self.exits = {at: count for at, count in enumerate(control.exits) if count}
            self.interrupts = {at: count for at, count in enumerate(control.interrupts) if count}
            self.exceptions = {at: count for at, count in enumerate(control.exceptions) if count}
            self.others = {
                TraceKind.EMULATED: control.emulated,
                TraceKind.TLB_FILL: control.tlb_fills,
                TraceKind.SWITCH: control.switches,
                TraceKind.IDLE: control.halts,
            }
            self.notices = list(domain.notices)
        self.trace: Trace = open_trace(path)

    def numbers(self, kind: TraceKind) -> dict[int, int]:
        return dict(Counter(record.number for record in self.trace if record.kind == kind))


def gate(name: str) -> bytes:
    """A gate call as the porter emits it."""
    return b"\x2e\xff\x15" + (HOLE + GATES_OFFSET + 4 * by_name[name].number).to_bytes(4, "little")


def times(count: int, code: bytes) -> bytes:
    """mov $count,%ecx; again: code; dec %ecx; jnz again. `code` leaves ECX alone."""
    back = (-len(code) - 7).to_bytes(4, "little", signed=True)
    return b"\xb9" + count.to_bytes(4, "little") + code + b"\x49\x0f\x85" + back


@pytest.fixture(scope="module")
def hello(sample_kernel: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, monitor: Path) -> Recorded:
    return Recorded(sample_kernel("hello", ported=True), tmp_path_factory.mktemp("hello") / "trace")


def test_the_trace_is_whole(hello: Recorded) -> None:
    assert hello.trace.condition.complete and hello.notices == []
    assert hello.trace.condition.lost == hello.trace.condition.damaged == 0
    assert hello.trace.condition.boots == 1 and 0.4 < hello.trace.seconds < 30  # 50 ticks of 10 ms


def test_counts_are_the_monitors(hello: Recorded) -> None:
    summary = summarise(hello.trace)
    assert {row.name: row.count for row in summary.table("hypercall").rows} == hello.calls
    assert sum(row.count for row in summary.table("caller").rows) == sum(hello.calls.values())
    assert hello.numbers(TraceKind.EXIT) == hello.exits
    assert hello.numbers(TraceKind.INTERRUPT) == hello.interrupts
    assert hello.numbers(TraceKind.EXCEPTION) == hello.exceptions
    for kind, count in hello.others.items():
        assert sum(hello.numbers(kind).values()) == count, kind.name


def test_callers_are_the_kernels_functions(hello: Recorded) -> None:
    rows = {row.name: row for row in summarise(hello.trace).table("caller").rows}
    assert rows["interrupt_common"].most == "iret" and "power_off" in rows
    assert not any(name.startswith("0x") for name in rows)


def test_the_call_that_ends_the_guest_is_recorded_without_an_end(hello: Recorded) -> None:
    unfinished = [record for record in hello.trace if record.sequence == UNFINISHED]
    assert [decode.name(record) for record in unfinished] == ["out16", "port_out"]
    assert [argument.value for argument in decode.arguments(unfinished[0])] == [0x604, 0x2000]


def test_a_tiny_ring_loses_records_and_counts_them(tmp_path: Path) -> None:
    kernel = guests.write(tmp_path, times(400_000, gate("null")) + guests.POWEROFF)
    run = Recorded(kernel, tmp_path / "trace", slots=8, selection=Selection("hypercall"))
    assert run.calls == {"null": 400_000}
    assert run.trace.condition.lost > 0 and run.trace.condition.damaged == 0
    assert len(run.trace) + run.trace.condition.lost == 400_000
    assert any(f"{run.trace.condition.lost:,} records" in notice for notice in run.notices)


def test_an_ordinary_ring_loses_nothing(tmp_path: Path) -> None:
    """Some two million records a second, with xor %eax,%eax in between to slow the guest down to that."""
    kernel = guests.write(tmp_path, times(500_000, gate("null") + b"\x31\xc0" * 4000) + guests.POWEROFF)
    run = Recorded(kernel, tmp_path / "trace")
    assert run.calls == {"null": 500_000} and run.trace.condition.lost == run.trace.condition.damaged == 0
    assert summarise(run.trace).table("hypercall").rows[0].count == 500_000


def test_only_the_kinds_asked_for(tmp_path: Path) -> None:
    kernel = guests.write(tmp_path, guests.say(b"x") + guests.in_(0x510) + guests.POWEROFF)
    run = Recorded(kernel, tmp_path / "trace", selection=Selection("exit"))
    assert {record.kind for record in run.trace} == {TraceKind.EXIT}
    assert run.numbers(TraceKind.EXIT) == run.exits


def first(run: Recorded, kind: TraceKind, number: int) -> Record:
    return next(record for record in run.trace if (record.kind, record.number) == (kind, number))


def test_operands_are_those_of_the_instruction(tmp_path: Path) -> None:
    carrier_ecx, carrier_memory = b"\x0f\x1f\xc1", b"\x0f\x1f\x05\x00\x80\x10\x00"
    code = (
        b"\xb9\x11\x00\x00\x00" + gate("write_cr0") + carrier_ecx  # mov $0x11,%ecx; mov %ecx,%cr0
        + gate("sgdt") + carrier_memory  # sgdt 0x108000
        + gate("in8_imm") + b"\x6a\x70"  # in $0x70,%al
        + b"\xbf\x00\x90\x10\x00\x66\xba\xfd\x03" + gate("ins8")  # mov $0x109000,%edi; mov $0x3fd,%dx; insb
        + gate("read_dr7") + carrier_ecx
    )  # fmt: skip
    run = Recorded(guests.write(tmp_path, code + guests.POWEROFF), tmp_path / "trace")

    def values(name: str) -> list[int]:
        record = first(run, TraceKind.HYPERCALL, by_name[name].number)
        return [argument.value for argument in decode.arguments(record)]

    assert values("write_cr0") == [0x11]
    assert values("sgdt") == [0x10_8000]
    assert values("in8_imm") == [0x70]
    assert values("ins8") == [0x3FD, 0x10_9000]
    assert values("read_dr7") == [0x400]
    eip = first(run, TraceKind.HYPERCALL, by_name["write_cr0"].number).eip
    assert eip == guests.LOAD + 32 + 5


def test_unported_code_is_recorded_as_it_was_written(tmp_path: Path) -> None:
    run = Recorded(guests.write(tmp_path, guests.in_(0x3FD) + guests.POWEROFF), tmp_path / "trace")
    emulated = [record for record in run.trace if record.kind == TraceKind.EMULATED]
    assert [decode.name(record) for record in emulated] == ["in al, dx", "out dx, ax"]
    assert emulated[0].eip == guests.LOAD + 32 + 4 and emulated[0].latency > 0
    assert emulated[1].sequence == UNFINISHED
    access = first(run, TraceKind.DEVICE, 2)
    assert access.args[0] == 0x3FD and access.result == 0x60  # the line status of an idle 16550
