"""What a record says, in the terms of the contract: a name, arguments, a result.

Where each argument lies is told by hypercalls.table (`Arg.where`) for hypercalls and by
hypercalls.structs.TraceKind for the other kinds.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

import capstone

from hypercalls import by_number
from hypercalls.structs import DeviceAccess, ExitReason, TraceKind
from hypercalls.table import Arg, Hypercall
from hypervisor.trace import names
from hypervisor.trace.reader import Record

_BYTES = {"u8": 1, "u16": 2, "u32": 4}
_WIDTHS = {"al": 1, "ax": 2, "eax": 4}
_ERRNO_MOST = 4095  # results from -4095 to -1 are errors (the Linux and Xen convention)


@dataclass(frozen=True)
class Argument:
    """One argument or result: its name, its value and how it is written for people."""

    name: str
    value: int
    text: str


def _number(name: str, value: int, size: int = 4) -> Argument:
    """In hexadecimal; `size` bytes are the guest's word where they come from a record, so no more than 8."""
    return Argument(name, value, f"{value:#0{2 + min(size, 8) * 2}x}")


def _decimal(name: str, value: int) -> Argument:
    return Argument(name, value, str(value))


def _explained(name: str, value: int, words: str, size: int = 4) -> Argument:
    plain = _number(name, value, size)
    return Argument(name, value, f"{plain.text} [{words}]") if words else plain


# --- names --------------------------------------------------------------------------------------------


def call_name(number: int) -> str:
    """The contract's name of a hypercall, or `#number`."""
    row = by_number.get(number)
    return row.name if row else f"#{number}"


@lru_cache(1 << 14)
def instruction(code: bytes) -> tuple[str, str]:
    """Mnemonic and operands (Intel syntax) of the i386 instruction that `code` begins with."""
    for found in _disassembler().disasm(code, 0, 1):
        return found.mnemonic, found.op_str
    return "(unknown)", code[:4].hex(" ")


@cache
def _disassembler() -> capstone.Cs:
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)


def _code(record: Record) -> bytes:
    return struct.pack("<3I", *record.args[:3])


def name(record: Record) -> str:
    """What happened, in a word or two: the hypercall, exit reason, vector, mnemonic..."""
    number = record.number
    match record.kind:
        case TraceKind.HYPERCALL:
            return call_name(number)
        case TraceKind.EXIT:
            return names.EXITS.get(number, f"#{number}")
        case TraceKind.INTERRUPT:
            return f"vector {number:#04x}"
        case TraceKind.EXCEPTION:
            return names.EXCEPTIONS.get(number, f"vector {number:#04x}")
        case TraceKind.EMULATED:
            return " ".join(instruction(_code(record))).strip()
        case TraceKind.DEVICE:
            return names.DEVICE_ACCESSES.get(number, f"#{number}")
        case _:
            return TraceKind(record.kind).name.lower()


# --- arguments ----------------------------------------------------------------------------------------


def _immediate_index(row: Hypercall, arg: Arg) -> int:
    return [other for other in row.args if other.where == "immediate"].index(arg)


def _raw(record: Record, row: Hypercall, arg: Arg) -> int:
    """The value at the place that the contract names."""
    eax, ebx, ecx, edx, esi = record.args
    match arg.where:
        case "al" | "ax" | "eax":
            return eax
        case "ebx":
            return ebx
        case "ecx":
            return ecx
        case "dx" | "edx":
            return edx
        case "esi" | "seg:esi":
            return esi
        case "esp":
            return record.esp
        case "immediate":
            return record.operand[_immediate_index(row, arg)]
        case "carrier2":
            return record.operand[1]
        case _:  # carrier; edi and es:edi, which lie in the same place where there is no explicit operand
            return record.operand[0]


def _argument(record: Record, row: Hypercall, arg: Arg) -> Argument:
    value = _raw(record, row, arg)
    if arg.where == "carrier" and record.in_memory:
        return Argument(arg.name, value, f"[{value:#010x}]")
    size = _BYTES.get(arg.type, 4)
    value &= (1 << size * 8) - 1
    if row.name in names.CONTROL_REGISTERS:
        return _explained(arg.name, value, names.bits(value, names.CONTROL_REGISTERS[row.name]))
    if arg.name == "msr":
        return _explained(arg.name, value, names.MSRS.get(value, ""))
    if arg.name == "command" or arg.name == "count":
        return _decimal(arg.name, value)
    return _number(arg.name, value, size)


def _hypercall(record: Record) -> list[Argument]:
    row = by_number.get(record.number)
    return [_argument(record, row, arg) for arg in row.args] if row else []


def _exit(record: Record) -> list[Argument]:
    port, address, size, count, value = record.args
    where = _number("port", port, 2)
    match record.number:
        case ExitReason.PORT_IN:
            return [where, _decimal("size", size)]
        case ExitReason.PORT_OUT:
            return [where, _number("value", value, size)]
        case ExitReason.STRING_IN | ExitReason.STRING_OUT:
            return [where, _decimal("size", size), _decimal("count", count)]
        case ExitReason.MMIO_READ:
            return [_number("address", address), _decimal("size", size)]
        case ExitReason.MMIO_WRITE:
            return [_number("address", address), _number("value", value, size)]
        case ExitReason.FIFO_DONE:
            return [_decimal("window", port)]
        case ExitReason.NEW_MEMBER:
            return [_decimal("pid", address)]
        case _:
            return []


def _exception(record: Record) -> list[Argument]:
    error, address, cs, *_ = record.args
    found = [] if record.number in names.NO_ERROR_CODE else [_number("error", error, 2)]
    if record.number == names.PAGE_FAULT:
        words = ["write" if error & 2 else "read", "user" if error & 4 else "supervisor"]
        words.append("protection" if error & 1 else "absent")
        found = [_explained("error", error, " ".join(words), 2), _number("address", address)]
    elif record.number in names.SELECTOR_ERRORS and error:
        table = "IDT vector" if error & 2 else "LDT entry" if error & 4 else "GDT entry"
        found = [_explained("error", error, f"{table} {error >> 3}", 2)]
    return [*found, _number("cs", cs, 2)]


def _emulated(record: Record) -> list[Argument]:
    return [_decimal("trap", record.args[3])]


def _device(record: Record) -> list[Argument]:
    where, value, size, *_ = record.args
    ports = record.number in (DeviceAccess.PORT_IN, DeviceAccess.PORT_OUT)
    place = _number("port", where, 2) if ports else _number("address", where)
    if record.number in (DeviceAccess.PORT_OUT, DeviceAccess.MMIO_WRITE):
        return [place, _number("value", value, size)]
    return [place, _decimal("size", size)]


def _tlb_fill(record: Record) -> list[Argument]:
    linear, physical, pages, *_ = record.args
    rights = ("write" if record.number & 2 else "read") + (" user" if record.number & 4 else "")
    return [_explained("linear", linear, rights), _number("physical", physical), _decimal("pages", pages)]


def _switch(record: Record) -> list[Argument]:
    source, target, cr3, new, _ = record.args
    return [_decimal("from", source), Argument("to", target, f"{target} [new]" if new else str(target)),
            _number("cr3", cr3)]  # fmt: skip


_ARGUMENTS: dict[int, Callable[[Record], list[Argument]]] = {
    TraceKind.HYPERCALL: _hypercall,
    TraceKind.EXIT: _exit,
    TraceKind.EXCEPTION: _exception,
    TraceKind.EMULATED: _emulated,
    TraceKind.DEVICE: _device,
    TraceKind.TLB_FILL: _tlb_fill,
    TraceKind.SWITCH: _switch,
}


def arguments(record: Record) -> list[Argument]:
    """The arguments of a record, in the contract's order."""
    decode = _ARGUMENTS.get(record.kind)
    return decode(record) if decode else []


# --- results ------------------------------------------------------------------------------------------


def result(record: Record) -> Argument | None:
    """What came back, where something does."""
    value = record.result
    if record.kind == TraceKind.HYPERCALL:
        return _hypercall_result(by_number.get(record.number), value)
    if record.kind == TraceKind.EXIT and record.number in (ExitReason.PORT_IN, ExitReason.MMIO_READ):
        return _number("value", value, record.args[2])
    if record.kind == TraceKind.DEVICE and record.number in (DeviceAccess.PORT_IN, DeviceAccess.MMIO_READ):
        return _number("value", value, record.args[2])
    return None


def _hypercall_result(row: Hypercall | None, value: int) -> Argument | None:
    if row is None or not row.result:
        return None
    if row.group == "xen":
        signed = value - (1 << 32) if value >> 31 else value
        words = f"-{errno.errorcode.get(-signed, -signed)}" if -_ERRNO_MOST <= signed < 0 else str(signed)
        return Argument("result", signed, words)
    if row.result.startswith("value in "):
        size = _WIDTHS[row.result.removeprefix("value in ")]
        return _number("value", value & (1 << size * 8) - 1, size)
    return _number("eax", value) if "EAX" in row.result else None
