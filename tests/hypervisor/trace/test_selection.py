"""What is recorded: from words to the monitor's filter, and what the monitor makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypercalls import by_name
from hypercalls.layout import TRACE_PORTS_SIZE
from hypercalls.structs import CONTROL, DeviceAccess, ExitReason, TraceKind
from hypervisor.trace.devices import Devices
from hypervisor.trace.format import TraceError
from hypervisor.trace.recording import TraceConfig
from hypervisor.trace.ring_filter import apply, check
from hypervisor.trace.selection import Selection
from tests.hypervisor import guests
from tests.hypervisor.trace.test_recorded_run import Recorded, gate, times
from tests.hypervisor.trace.traces import HEADER

FUNCTIONS = {"idestart": (0x1000, 0x10FF), "ideintr": (0x1100, 0x11FF), "sleep": (0x3000, 0x303F)}


def functions(fits: Callable[[str], bool]) -> list[tuple[int, int]]:
    return [places for name, places in FUNCTIONS.items() if fits(name)]


def applied(only: str = "", caller: str = "") -> tuple[int, Any, bytes]:
    control, ports = CONTROL.ctype(), bytearray(TRACE_PORTS_SIZE)
    mask = apply(Selection(only, caller), control, memoryview(ports), Devices(HEADER.devices), functions)
    return mask, control.trace_filter, bytes(ports)


def bits(words: Any) -> set[int]:
    return {number for number in range(len(words) * 32) if words[number >> 5] >> (number & 31) & 1}


def of(mask: int) -> set[int]:
    return {kind for kind in range(32) if mask >> kind & 1}


def test_everything() -> None:
    mask, made, ports = applied()
    assert of(mask) == set(TraceKind) and not made.active and not any(ports)


def test_words_become_tables() -> None:
    mask, made, ports = applied("mmu, port:0x3f8-0x3fa, exception:#PF, vector:0x20, exit:serial_full, device:*apic")
    assert made.active and made.rings == 0xF and not made.spaces and not made.callers
    assert of(made.whole) == {TraceKind.TLB_FILL, TraceKind.SWITCH}
    assert by_name["write_cr3"].number in bits(made.calls) and by_name["in8"].number not in bits(made.calls)
    assert bits(made.vectors) == {0x20} and of(made.exceptions) == {14} and of(made.exits) == {ExitReason.SERIAL_FULL}
    assert made.ports and [port for port in range(1 << 16) if ports[port >> 3] >> (port & 7) & 1] == [
        0x3F8, 0x3F9, 0x3FA]  # fmt: skip
    assert made.addresses == 1 and (made.address[0].first, made.address[0].last) == (0xFEE0_0000, 0xFEE0_0FFF)
    assert of(mask) == set(TraceKind) - {TraceKind.EMULATED, TraceKind.IDLE, TraceKind.MARK}


def test_limits() -> None:
    mask, made, _ = applied("hypercall and ring:0 and (cr3:0x1000 or cr3:0x2000)", "ide*")
    assert of(mask) == {TraceKind.HYPERCALL, TraceKind.STACK} == of(made.whole) | {TraceKind.STACK}
    assert made.rings == 1 and made.spaces == 2 and list(made.space[:2]) == [0x1000, 0x2000]
    # Functions that touch are one place.
    assert made.callers == 1 and (made.caller[0].first, made.caller[0].last) == (0x1000, 0x11FF)
    _, made, _ = applied("caller:ideintr")
    assert of(made.whole) == set(TraceKind) and made.callers == 1 and made.caller[0].first == 0x1100
    assert applied(caller="sleep,ideintr")[1].callers == 2


@pytest.mark.parametrize(
    ("only", "caller", "message"),
    [
        ("latency > 5us", "", "compares or nests, which cannot be known while recording"),
        ("not mmu", "", "asks for what is not so, which cannot"),
        ("mmu and hypercall", "", "combines its words in a way, which cannot"),
        ("mmu or ring:0", "", "combines its words in a way, which cannot"),
        ("ring:0 or cr3:5", "", "combines its words in a way, which cannot"),
        ("caller:a and caller:b", "", "combines its words in a way, which cannot"),
        ("caller:a", "b", "combines its words in a way, which cannot"),
        ("mmu,(port:5 and ring:0)", "", "compares or nests"),
        ("mmuu", "", "there is no hypercall 'mmuu'"),
    ],
)
def test_what_the_monitor_cannot_tell_is_refused(only: str, caller: str, message: str) -> None:
    with pytest.raises(TraceError) as refusal:
        check(Selection(only, caller))
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("only", "caller", "message"),
    [
        ("device:floppy", "", "the machine has no device 'floppy'; it has serial, local APIC"),
        ("", "nosuch*", "the kernel has no function 'nosuch*'"),
        (",".join(f"address:{page:#x}" for page in range(9)), "", "8 ranges of addresses and 8 CR3 at most"),
        ("(" + ",".join(f"cr3:{page:#x}" for page in range(9)) + ")", "", "8 ranges of addresses and 8 CR3 at most"),
    ],
)
def test_what_fits_nothing_or_too_much_is_refused(only: str, caller: str, message: str) -> None:
    check(Selection(only, caller))
    with pytest.raises(TraceError) as refusal:
        applied(only, caller)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_more_callers_than_the_monitor_knows_are_refused() -> None:
    many = [(at * 0x100, at * 0x100 + 8) for at in range(513)]
    with pytest.raises(TraceError, match="513 pieces of the kernel, and the monitor can tell 512 apart"):
        apply(Selection("", "*"), CONTROL.ctype(), memoryview(bytearray(TRACE_PORTS_SIZE)), Devices([]), lambda _: many)
    control = CONTROL.ctype()
    apply(Selection("", "*"), control, memoryview(bytearray(TRACE_PORTS_SIZE)), Devices([]), lambda _: many[:512])
    assert control.trace_filter.callers == 512


# --- the monitor's side -------------------------------------------------------------------------------

PROGRAM = (
    guests.in_(0x3FD) + guests.in_(0x510) + times(20, gate("null")) + b"\xbb\x00\x80\x10\x00" + times(7, gate("clts"))
    + guests.POWEROFF
)  # fmt: skip


def everything(run: Recorded) -> Counter[tuple[int, int]]:
    return Counter((record.kind, record.number) for record in run.trace)


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ("", lambda kind, number: True),
        ("null", lambda kind, number: (kind, number) == (TraceKind.HYPERCALL, by_name["null"].number)),
        ("control,exit", lambda kind, number: kind == TraceKind.EXIT
         or (kind, number) == (TraceKind.HYPERCALL, by_name["clts"].number)),
        ("emulated,idle", lambda kind, number: kind == TraceKind.EMULATED),
        ("exit:port_out", lambda kind, number: (kind, number) == (TraceKind.EXIT, ExitReason.PORT_OUT)),
        ("device:UART", lambda kind, number: (kind, number) == (TraceKind.DEVICE, DeviceAccess.PORT_IN)),
        ("tlb_fill,switch", lambda kind, number: kind in (TraceKind.TLB_FILL, TraceKind.SWITCH)),
        ("ring:3", lambda kind, number: False),
        ("cr3:0x5000", lambda kind, number: False),
        ("port:0x5000-0x6000", lambda kind, number: False),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("monitor")
def test_the_monitor_records_what_was_chosen(
    tmp_path: Path, only: str, chosen: Callable[[int, int], bool]
) -> None:
    only = only.replace("control", "group:control")
    whole = Recorded(guests.write(tmp_path, PROGRAM), tmp_path / "whole")
    part = Recorded(guests.write(tmp_path, PROGRAM), tmp_path / "part", selection=Selection(only))
    expected = {what: count for what, count in everything(whole).items() if chosen(*what)}
    found = everything(part)
    if only == "device:UART":
        expected = {(TraceKind.DEVICE, DeviceAccess.PORT_IN): 1}
        assert [record.args[0] for record in part.trace] == [0x3FD]
    assert found == expected
    assert part.trace.condition.damaged == part.trace.condition.lost == 0


def test_a_configuration_says_what_it_records() -> None:
    assert TraceConfig(Path("x")).selection == Selection() and TraceConfig(Path("x")).slots == 1 << 18
