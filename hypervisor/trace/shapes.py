"""What the records of each kind hold, by the contract: where arguments and results lie, and how they are written.

A `Shape` stands for all records of one kind and number, so that millions of them can be written by filling in its text.
Where each argument lies is told by hypercalls.table (`Arg.where`) for hypercalls and by
hypercalls.structs.TraceKind for the other kinds.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from hypercalls import by_number
from hypercalls.structs import DeviceAccess, ExitReason, TraceFlag, TraceKind
from hypercalls.table import Arg, Hypercall
from hypervisor.trace import names
from hypervisor.trace.devices import Devices
from hypervisor.trace.format import KIND_NAMES

if TYPE_CHECKING:
    import capstone

_BYTES = {"u8": 1, "u16": 2, "u32": 4}
_WIDTHS = {"al": 1, "ax": 2, "eax": 4}
_ERRNO_MOST = 4095  # results from -4095 to -1 are errors (the Linux and Xen convention)
CODE_BYTES = 12  # of an instruction, in `args` of an EMULATED record
MARK_BYTES = 28  # of a mark's text, in `args` and `operand`


class Style(Enum):
    """How a number is written."""

    HEX = "hex"
    DECIMAL = "decimal"
    SIGNED = "signed"  # Xen's results: negative ones are errors
    POINTER = "pointer"  # the address of an operand in memory


class Source(Enum):
    """Fields that arguments lie in, by name in the record's array and place in it."""

    EAX = ("args", 0)
    EBX = ("args", 1)
    ECX = ("args", 2)
    EDX = ("args", 3)
    ESI = ("args", 4)
    FIRST = ("operand", 0)
    SECOND = ("operand", 1)
    ESP = ("esp", None)
    RESULT = ("result", None)


@dataclass(frozen=True)
class Slot:
    """One argument or result: what it is called, where it lies, how many bytes it has, how it is written.

    `words` tells in words what a value means; `device` asks which device is at that place of "port" or "memory".
    """

    name: str
    source: Source
    size: int = 4
    style: Style = Style.HEX
    words: Callable[[int], str] | None = None
    device: str = ""

    @property
    def mask(self) -> int:
        """Bits of the field that count."""
        return (1 << self.size * 8) - 1

    def text(self, value: int, devices: Devices | None = None) -> str:
        """`value` for people; with the name of the device where `devices` are known."""
        if self.style is Style.DECIMAL:
            return str(value)
        if self.style is Style.POINTER:
            return f"[{value:#010x}]"
        if self.style is Style.SIGNED:
            return f"-{errno.errorcode.get(-value, -value)}" if -_ERRNO_MOST <= value < 0 else str(value)
        plain = f"{value:#0{2 + self.size * 2}x}"
        found = self.words(value) if self.words else ""
        if self.device and devices:
            found = devices.port(value) if self.device == "port" else devices.memory(value)
        return f"{plain} [{found}]" if found else plain


@dataclass(frozen=True)
class Shape:
    """Records of one kind, number and flag. `payload`: bytes of the record that its name depends on, besides."""

    kind: str
    name: str
    slots: tuple[Slot, ...] = ()
    result: Slot | None = None
    payload: int = 0


# --- names --------------------------------------------------------------------------------------------


def call_name(number: int) -> str:
    """The contract's name of a hypercall, or `#number`."""
    row = by_number.get(number)
    return row.name if row else f"#{number}"


@cache
def instruction(code: bytes) -> tuple[str, str]:
    """Mnemonic and operands (Intel syntax) of the i386 instruction that `code` begins with."""
    for found in _disassembler().disasm(code, 0, 1):
        return found.mnemonic, found.op_str
    return "(unknown)", code[:4].hex(" ")


@cache
def _disassembler() -> capstone.Cs:
    import capstone

    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)


def payload_name(kind: int, payload: bytes) -> str:
    """The name of an emulated instruction, by its bytes, or the text of a mark."""
    if kind == TraceKind.EMULATED:
        return " ".join(instruction(payload)).strip()
    return payload.decode("latin-1").encode("unicode_escape").decode()


# --- hypercalls ---------------------------------------------------------------------------------------

_PLACES: dict[str, Source] = {
    "al": Source.EAX, "ax": Source.EAX, "eax": Source.EAX, "ebx": Source.EBX, "ecx": Source.ECX, "dx": Source.EDX,
    "edx": Source.EDX, "esi": Source.ESI, "seg:esi": Source.ESI, "esp": Source.ESP, "carrier2": Source.SECOND,
    "carrier": Source.FIRST, "edi": Source.FIRST, "es:edi": Source.FIRST,
}  # fmt: skip


def _place(row: Hypercall, arg: Arg) -> Source:
    if arg.where == "immediate":
        index = [other for other in row.args if other.where == "immediate"].index(arg)
        return (Source.FIRST, Source.SECOND)[index]
    return _PLACES[arg.where]


def _argument(row: Hypercall, arg: Arg, in_memory: bool) -> Slot:
    place, size = _place(row, arg), _BYTES.get(arg.type, 4)
    if arg.where == "carrier" and in_memory:
        return Slot(arg.name, place, style=Style.POINTER)
    if row.name in names.CONTROL_REGISTERS:
        bits = names.CONTROL_REGISTERS[row.name]
        return Slot(arg.name, place, size, words=lambda value: names.bits(value, bits))
    if row.name == "write_cr3":
        return Slot(arg.name, place, size)
    if arg.name == "msr":
        return Slot(arg.name, place, size, words=lambda value: names.MSRS.get(value, ""))
    if arg.name in ("command", "count", "length"):
        return Slot(arg.name, place, size, Style.DECIMAL)
    return Slot(arg.name, place, size, device="port" if arg.name == "port" else "")


def _call_result(row: Hypercall) -> Slot | None:
    if not row.result:
        return None
    if row.group == "xen":
        return Slot("result", Source.RESULT, style=Style.SIGNED)
    if row.result.startswith("value in "):
        return Slot("value", Source.RESULT, _WIDTHS[row.result.removeprefix("value in ")])
    return Slot("eax", Source.RESULT) if "EAX" in row.result else None


def _hypercall(number: int, in_memory: bool) -> Shape:
    row, kind = by_number.get(number), KIND_NAMES[TraceKind.HYPERCALL]
    if row is None:
        return Shape(kind, f"#{number}")
    return Shape(kind, row.name, tuple(_argument(row, arg, in_memory) for arg in row.args), _call_result(row))


# --- the other kinds ----------------------------------------------------------------------------------

_PORT = Slot("port", Source.EAX, 2, device="port")
_ADDRESS = Slot("address", Source.EAX, device="memory")


_SIZE = Slot("size", Source.ECX, style=Style.DECIMAL)


def _exit(number: int, size: int) -> Shape:
    name, kind = names.EXITS.get(number, f"#{number}"), KIND_NAMES[TraceKind.EXIT]
    count, address = Slot("count", Source.EDX, style=Style.DECIMAL), Slot("address", Source.EBX, device="memory")
    value, came = Slot("value", Source.ESI, size), Slot("value", Source.RESULT, size)
    match number:
        case ExitReason.PORT_IN:
            return Shape(kind, name, (_PORT, _SIZE), came)
        case ExitReason.PORT_OUT:
            return Shape(kind, name, (_PORT, value))
        case ExitReason.STRING_IN | ExitReason.STRING_OUT:
            return Shape(kind, name, (_PORT, _SIZE, count))
        case ExitReason.MMIO_READ:
            return Shape(kind, name, (address, _SIZE), came)
        case ExitReason.MMIO_WRITE:
            return Shape(kind, name, (address, value))
        case ExitReason.FIFO_DONE:
            return Shape(kind, name, (Slot("window", Source.EAX, style=Style.DECIMAL),))
        case ExitReason.NEW_MEMBER:
            return Shape(kind, name, (Slot("pid", Source.EBX, style=Style.DECIMAL),))
        case _:
            return Shape(kind, name)


def fault_words(error: int) -> str:
    """The error code of a page fault in words (SDM vol. 3, 4.7)."""
    words = ["write" if error & 2 else "read", "user" if error & 4 else "supervisor"]
    words.append("protection" if error & 1 else "absent")
    return " ".join([*words, *(["reserved"] if error & 8 else []), *(["fetch"] if error & 16 else [])])


def _selector_words(error: int) -> str:
    if not error:
        return ""
    table = "IDT vector" if error & 2 else "LDT entry" if error & 4 else "GDT entry"
    return f"{table} {error >> 3}"


def _exception(number: int) -> Shape:
    slots = [] if number in names.NO_ERROR_CODE else [Slot("error", Source.EAX, 2)]
    if number == names.PAGE_FAULT:
        slots = [Slot("error", Source.EAX, 2, words=fault_words), Slot("address", Source.EBX)]
    elif number in names.SELECTOR_ERRORS:
        slots = [Slot("error", Source.EAX, 2, words=_selector_words)]
    return Shape(KIND_NAMES[TraceKind.EXCEPTION], names.EXCEPTIONS.get(number, f"vector {number:#04x}"),
                 (*slots, Slot("cs", Source.ECX, 2)))  # fmt: skip


def _device(number: int, size: int) -> Shape:
    name, kind = names.DEVICE_ACCESSES.get(number, f"#{number}"), KIND_NAMES[TraceKind.DEVICE]
    place = _PORT if number in (DeviceAccess.PORT_IN, DeviceAccess.PORT_OUT) else _ADDRESS
    if number in (DeviceAccess.PORT_OUT, DeviceAccess.MMIO_WRITE):
        return Shape(kind, name, (place, Slot("value", Source.EBX, size)))
    return Shape(kind, name, (place, _SIZE), Slot("value", Source.RESULT, size))


def _entry_words(entry: int) -> str:
    return names.bits(entry, names.PAGE_BITS)


def _tlb_fill(number: int) -> Shape:
    rights = ("write" if number & 2 else "read") + (" user" if number & 4 else "")
    slots = (Slot("linear", Source.EAX), Slot("physical", Source.EBX), Slot("pages", Source.ECX, style=Style.DECIMAL),
             Slot("pte", Source.EDX, words=_entry_words), Slot("pde", Source.ESI, words=_entry_words))
    return Shape(KIND_NAMES[TraceKind.TLB_FILL], f"tlb_fill {rights}", slots)


def _switch(number: int) -> Shape:
    return Shape(KIND_NAMES[TraceKind.SWITCH], "switch", (
        Slot("from", Source.EAX, style=Style.DECIMAL), Slot("to", Source.EBX, style=Style.DECIMAL),
        Slot("cr3", Source.ECX), Slot("new", Source.EDX, style=Style.DECIMAL)))  # fmt: skip


SIZED = (TraceKind.EXIT, TraceKind.DEVICE)
"""Kinds whose shapes depend on the bytes of an access, `args[2]`."""


@cache
def shape(kind: int, number: int, flags: int, size: int = 0) -> Shape:
    """What the records of `kind` and `number` with `flags` hold; `size` is that of an access, for SIZED kinds."""
    size = size if size in (1, 2) else 4
    match kind:
        case TraceKind.HYPERCALL:
            return _hypercall(number, bool(flags & TraceFlag.IN_MEMORY))
        case TraceKind.EXIT:
            return _exit(number, size)
        case TraceKind.INTERRUPT:
            return Shape(KIND_NAMES[kind], f"vector {number:#04x}")
        case TraceKind.EXCEPTION:
            return _exception(number)
        case TraceKind.EMULATED:
            return Shape(KIND_NAMES[kind], "", (Slot("trap", Source.EDX, style=Style.DECIMAL),), payload=CODE_BYTES)
        case TraceKind.DEVICE:
            return _device(number, size)
        case TraceKind.TLB_FILL:
            return _tlb_fill(number)
        case TraceKind.SWITCH:
            return _switch(number)
        case TraceKind.MARK:
            number_slot = Slot("number", Source.RESULT, style=Style.DECIMAL)
            return Shape(KIND_NAMES[kind], "", (number_slot,), payload=min(number, MARK_BYTES))
        case _:
            return Shape(KIND_NAMES.get(kind, f"#{kind}"), KIND_NAMES.get(kind, f"#{kind}"))
