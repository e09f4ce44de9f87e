"""The language in which records are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypercalls import HYPERCALLS, by_name
from hypercalls.structs import DeviceAccess, ExitReason, TraceKind
from hypervisor.trace.format import KIND_NAMES, TraceError
from hypervisor.trace.grammar import parse
from hypervisor.trace.reader import open_trace
from tests.hypervisor.trace.traces import BEGIN, end, numbered, record, write


def call(name: str, **fields: object) -> bytes:
    return record(number=by_name[name].number, **fields)


RECORDS = {
    "in_com": call("in8", args=(0, 0, 0, 0xABCD_03F8, 0), result=0xFFFF_FF41, latency=5, after=1, eip=0x100),
    "out_imm": call("out8_imm", args=(0x99, 0, 0, 0x3F8, 0), operand=(0x70, 0), latency=50_000, after=2, eip=0x1100),
    "cr3": call("write_cr3", operand=(0x3F_F000, 0), latency=700, after=3, cr3=0x1000),
    "int": call("int", operand=(0x40, 0), cpl=3, after=4),
    "yield": call("sched_op", result=2**32 - 38, after=5),
    "exit_in": record(TraceKind.EXIT, ExitReason.PORT_IN, args=(0x1F7, 0, 1, 1, 0), result=80, latency=9_000, after=6),
    "exit_mmio": record(TraceKind.EXIT, ExitReason.MMIO_WRITE, args=(0, 0xFEC0_0000, 4, 1, 9), after=7),
    "timer": record(TraceKind.INTERRUPT, 0x20, after=8),
    "page_fault": record(TraceKind.EXCEPTION, 14, args=(6, 0x3000, 0x1B, 0, 0), after=9),
    "apic": record(TraceKind.DEVICE, DeviceAccess.MMIO_WRITE, args=(0xFEE0_00B0, 0, 4), flags=0x10, after=10),
    "fill": record(TraceKind.TLB_FILL, 2, args=(0x8010_0000, 0x10_0000, 1), latency=1, after=11),
    "switch": record(TraceKind.SWITCH, 0, after=12),
    "idle": record(TraceKind.IDLE, 0, latency=2_000_000, after=2_000_000_000),
    "mark": record(TraceKind.MARK, 5, result=77, after=2_000_000_001),
    "cli": record(TraceKind.EMULATED, 0xFA, args=(0xFA,), after=2_000_000_002),
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("hypercall", "in_com out_imm cr3 int yield"),
        ("exit", "exit_in exit_mmio"),
        ("write_cr3", "cr3"),
        ("WRITE_CR3", "cr3"),
        ("in*", "in_com int"),
        ("call:out8*", "out_imm"),
        ("mmu", "cr3 fill switch"),
        ("io", "in_com out_imm exit_in exit_mmio apic"),
        ("irq", "timer idle"),
        ("syscall", "int"),
        ("group:flow", "int"),
        ("kind:interrupt", "timer"),
        ("port:0x3f8", "in_com"),
        ("port:0x70", "out_imm"),
        ("port:0x100-0x3ff", "in_com exit_in"),
        ("address:0xfee00000-0xfee00fff", "apic"),
        ("address:0x3000", "page_fault"),
        ("device:serial", "in_com"),
        ("device:*apic", "apic"),
        ("vector:0x20", "timer"),
        ("exception:14", "page_fault"),
        ("exception:#PF", "page_fault"),
        ("exit:port_*", "exit_in"),
        ("ring:3", "int"),
        ("cr3:0x1000", "cr3"),
        ("mark", "mark"),
        ("mmu,port:0x3f8", "in_com cr3 fill switch"),
        ("mmu or port:0x3f8", "in_com cr3 fill switch"),
        ("hypercall and not port:0-0xffff", "cr3 int yield"),
        ("hypercall and (port:0x3f8 or ring:3)", "in_com int"),
        ("latency > 1us", "out_imm exit_in idle"),
        ("latency >= 700", "out_imm cr3 exit_in idle"),
        ("latency == 5ns or latency>1.5ms", "in_com idle"),
        ("time >= 2s", "idle mark cli"),
        ("port == 0x1f7", "exit_in"),
        ("port != 0x1f7", "in_com out_imm"),
        ("value == 0x41", "in_com"),
        ("value == 0x99", "out_imm"),
        ("value == 77", "mark"),
        ("result < 0 and hypercall and not in*", "yield"),
        ("result == -38", "yield"),
        ("vector == 0x40", "int"),
        ("nesting >= 1", "apic"),
        ("eax == 0x99", "out_imm"),
        ("kind ~ ex*", "exit_in exit_mmio page_fault"),
        ("call ~ *cr3", "cr3"),
        ("kind !~ *e* and kind != tlb_fill", "switch mark"),
        ('caller ~ "0x00000100"', "in_com"),
        ("caller:0x00001*", "out_imm"),
        ("caller:(user*", None),
        ('caller:"(user code)"', "int"),
    ],
)
def test_what_expressions_choose(tmp_path: Path, expression: str, expected: str | None) -> None:
    trace = open_trace(write(tmp_path, BEGIN, numbered(*RECORDS.values()), end(2_000_000_010, len(RECORDS))))
    if expected is None:
        with pytest.raises(TraceError, match="cannot be understood"):
            parse(expression)
        return
    names = list(RECORDS)
    assert [names[found.sequence - 1] for found in trace.records(expression)] == expected.split()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "cannot be understood at its end"),
        ("and", "there is no hypercall 'and'"),
        ("port:", "cannot be understood at its end"),
        ("mmu mmu", "cannot be understood at column 5"),
        ("(mmu", "cannot be understood at its end"),
        ("latency > > 5", "cannot be understood"),
        ("outb", "there is no hypercall 'outb'; perhaps out"),
        ("xyzzy", "there is no hypercall 'xyzzy'; 'ring3 abi' lists them"),
        ("kind:irq", "'irq' is no kind of record; choose from hypercall"),
        ("group:irq", "'irq' is no group of hypercalls; choose from"),
        ("poort:5", "'poort:' names nothing; there are kind:"),
        ("port:0x10000", "'0x10000' is no port; write a number from 0 to 0xffff"),
        ("port:9-3", "port 9-3 runs backwards; write 3-9"),
        ("port:com1", "'com1' is no port"),
        ("vector:256", "'256' is no vector"),
        ("exception:#XX", "'#XX' is no exception"),
        ("exit:never", "'never' is no reason of an exit; choose from none, port_in"),
        ("ring:4", "'4' is no ring"),
        ("lateny > 5us", "records have no field 'lateny'; perhaps latency"),
        ("latency > 5min", "'5min' is no value for 'latency'; write a number with ns, us, ms or s"),
        ("latency ~ 5", "'latency' is a number, for which there are == !="),
        ("caller > ide", "'caller' is a text, for which there are ~ !~"),
        ("port == com1", "'com1' is no value for 'port'"),
    ],
)
def test_what_makes_no_sense_is_told(expression: str, message: str) -> None:
    with pytest.raises(TraceError) as refusal:
        parse(expression)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("word", [*KIND_NAMES.values(), *(row.name for row in HYPERCALLS)])
def test_every_kind_and_hypercall_is_a_word(word: str) -> None:
    parse(word)
    parse(f"not {word} or {word} and time > 1s")
