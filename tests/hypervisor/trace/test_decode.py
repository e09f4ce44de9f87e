"""What records say, by the contract."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hypercalls import HYPERCALLS, by_name
from hypercalls.structs import TRACE, DeviceAccess, ExitReason, TraceKind
from hypervisor.trace import decode
from hypervisor.trace.devices import Devices
from hypervisor.trace.reader import Record, open_trace
from hypervisor.trace.table import Decoder
from tests.hypervisor.trace.traces import BEGIN, HEADER, end, write

REGISTERS = (0x11223344, 0xB, 0xC, 0x5566_03F8, 0x51)  # EAX, EBX, ECX, EDX, ESI


def made(kind: TraceKind, number: int, **fields: object) -> Record:
    whole: dict[str, object] = dict.fromkeys(Record._fields, 0) | {"args": (0,) * 5, "operand": (0, 0)}
    return Record(**(whole | {"kind": kind, "number": number} | fields))  # type: ignore[arg-type]


def call(name: str, **fields: object) -> Record:
    return made(TraceKind.HYPERCALL, by_name[name].number, **({"args": REGISTERS} | fields))


def text(record: Record) -> str:
    came = decode.result(record)
    given = ", ".join(f"{argument.name}={argument.text}" for argument in decode.arguments(record))
    return decode.name(record) + (f"({given})" if given else "") + (f" = {came.text}" if came else "")


CASES = [
    (call("in8", result=0xABCD_EF60), "in8(port=0x03f8) = 0x60"),
    (call("in16", result=0xABCD_EF60), "in16(port=0x03f8) = 0xef60"),
    (call("in32_imm", operand=(0x60, 0), result=5), "in32_imm(port=0x60) = 0x00000005"),
    (call("out8"), "out8(port=0x03f8, value=0x44)"),
    (call("out16_imm", operand=(0xFFFF_FF70, 0)), "out16_imm(port=0x70, value=0x3344)"),
    (call("rep_ins16", operand=(0x8000, 0)), "rep_ins16(port=0x03f8, buffer=0x00008000, count=12)"),
    (call("rep_outs32"), "rep_outs32(port=0x03f8, buffer=0x00000051, count=12)"),
    (call("write_cr0", operand=(0x8001_0011, 0)), "write_cr0(value=0x80010011 [PE ET WP PG])"),
    (call("write_cr3", operand=(0x3FF000, 0)), "write_cr3(value=0x003ff000)"),
    (call("write_cr4", operand=(0x10, 0)), "write_cr4(value=0x00000010 [PSE])"),
    (call("read_dr7", operand=(0x400, 0)), "read_dr7(value=0x00000400)"),
    (call("lgdt", operand=(0x8011_551A, 0), flags=1), "lgdt(operand=[0x8011551a])"),
    (call("ltr", operand=(0xFFFF_0028, 0)), "ltr(selector=0x0028)"),
    (call("ltr", operand=(0x1000, 0), flags=1), "ltr(selector=[0x00001000])"),
    (call("lar", operand=(0x10, 0xCF9300)), "lar(selector=0x0010, rights=0x00cf9300)"),
    (call("ljmp", operand=(0x10_0204, 8)), "ljmp(offset=0x00100204, selector=0x0008)"),
    (call("int", operand=(0x40, 0)), "int(vector=0x40)"),
    (call("iret", esp=0x8DFF_FFB4), "iret(frame=0x8dffffb4)"),
    (call("rdmsr", args=(0, 0, 0x1B, 0, 0), result=0xFEE0_0900),
     "rdmsr(msr=0x0000001b [IA32_APIC_BASE]) = 0xfee00900"),
    (call("cpuid", args=(1, 0, 2, 0, 0), result=9), "cpuid(leaf=0x00000001, subleaf=0x00000002) = 0x00000009"),
    (call("sched_op", args=(0, 2, 1, 0, 0)), "sched_op(command=2, argument=0x00000001) = 0"),
    (call("xen_version", args=(0, 7, 0, 0, 0), result=2**32 - 38),
     "xen_version(command=7, buffer=0x00000000) = -ENOSYS"),
    (made(TraceKind.HYPERCALL, 250), "#250"),
    (made(TraceKind.EXIT, ExitReason.PORT_IN, args=(0x1F7, 0, 1, 1, 0), result=0x50),
     "port_in(port=0x01f7, size=1) = 0x50"),
    (made(TraceKind.EXIT, ExitReason.PORT_OUT, args=(0x604, 0, 2, 1, 0x2000)),
     "port_out(port=0x0604, value=0x2000)"),
    (made(TraceKind.EXIT, ExitReason.MMIO_WRITE, args=(0, 0xFEC0_0000, 4, 1, 1)),
     "mmio_write(address=0xfec00000, value=0x00000001)"),
    (made(TraceKind.EXIT, ExitReason.DEAD_HALT), "dead_halt"),
    (made(TraceKind.EXIT, 31), "#31"),
    (made(TraceKind.INTERRUPT, 0x20), "vector 0x20"),
    (made(TraceKind.EXCEPTION, 14, args=(6, 0x3000, 0x1B, 0, 0)),
     "#PF page fault(error=0x0006 [write user absent], address=0x00003000, cs=0x001b)"),
    (made(TraceKind.EXCEPTION, 13, args=(0x82 * 8 + 2, 0, 8, 0, 0)),
     "#GP general protection(error=0x0412 [IDT vector 130], cs=0x0008)"),
    (made(TraceKind.EXCEPTION, 3, args=(0, 0, 8, 0, 0)), "#BP breakpoint(cs=0x0008)"),
    (made(TraceKind.EMULATED, 0x0F, args=(*struct.unpack("<3I", b"\x0f\x22\xc0".ljust(12, b"\x90")), 13, 0)),
     "mov cr0, eax(trap=13)"),
    (made(TraceKind.DEVICE, DeviceAccess.PORT_OUT, args=(0x20, 0x60, 1, 0, 0)),
     "port_out(port=0x0020, value=0x60)"),
    (made(TraceKind.DEVICE, DeviceAccess.MMIO_READ, args=(0xFEE0_0020, 0, 4, 0, 0), result=1),
     "mmio_read(address=0xfee00020, size=4) = 0x00000001"),
    (made(TraceKind.TLB_FILL, 6, args=(0x3000, 0x20_3000, 4, 0x20_3067, 0)),
     "tlb_fill write user(linear=0x00003000, physical=0x00203000, pages=4, pte=0x00203067 [P W U A D], "
     "pde=0x00000000)"),
    (made(TraceKind.SWITCH, 0, args=(0, 2, 0x3FF000, 1, 0)), "switch(from=0, to=2, cr3=0x003ff000, new=1)"),
    (made(TraceKind.IDLE, 0), "idle"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "expected"), CASES)
def test_a_record_is_decoded(record: Record, expected: str) -> None:
    assert text(record) == expected


def packed(record: Record) -> bytes:
    return bytes(TRACE.ctype(**(record._asdict() | {"tsc": 10, "sequence": 1})))


def test_many_are_decoded_as_one_is(tmp_path: Path) -> None:
    """Ports and addresses of devices have their names besides."""
    header = replace(HEADER, devices=[])
    records = b"".join(packed(record) for record, _ in CASES)
    trace = open_trace(write(tmp_path, BEGIN, records, end(20, 0), header=header))
    assert Decoder(trace).texts(np.concatenate(list(trace.batches()))) == [expected for _, expected in CASES]


def test_devices_have_names() -> None:
    devices = Devices(HEADER.devices)
    assert devices.port(0x3FD) == "serial" and devices.port(0x3F7) == "" and devices.memory(0xFEE0_0FFF) == "local APIC"
    slot = decode.shape_of(call("in8")).slots[0]
    assert slot.text(0x3F8, devices) == "0x03f8 [serial]" and slot.text(0x2F8, devices) == "0x02f8"


def test_marks_and_their_numbers() -> None:
    words = struct.unpack("<7I", b"boot: 100% \xff\n".ljust(28, b"\0"))
    mark = made(TraceKind.MARK, 13, args=words[:5], operand=words[5:], result=42)
    assert text(mark) == "boot: 100% \\xff\\n(number=42)"


@pytest.mark.parametrize("row", HYPERCALLS, ids=lambda row: row.name)
def test_every_hypercall_of_the_contract_is_decoded(row: object) -> None:
    """An argument that the decoder does not know where to find would be read from another place."""
    from hypercalls.table import Hypercall

    assert isinstance(row, Hypercall)
    record = call(row.name)
    assert decode.name(record) == row.name
    assert [argument.name for argument in decode.arguments(record)] == [arg.name for arg in row.args]
    known = {"al", "ax", "eax", "ebx", "ecx", "dx", "edx", "esi", "edi", "esp", "es:edi", "seg:esi", "immediate",
             "carrier",
             "carrier2"}  # fmt: skip
    assert {arg.where for arg in row.args} <= known
