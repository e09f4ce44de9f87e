"""What a record says, in the terms of the contract: a name, arguments, a result. `table` does the same for many."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hypervisor.trace.reader import Record
from hypervisor.trace.shapes import SIZED, Shape, Slot, Style, payload_name, shape

_WORDS = struct.Struct("<7I")


@dataclass(frozen=True)
class Argument:
    """One argument or result: its name, its value and how it is written for people."""

    name: str
    value: int
    text: str


def shape_of(record: Record) -> Shape:
    """What records such as `record` hold."""
    return shape(record.kind, record.number, record.flags & 0xF, record.args[2] if record.kind in SIZED else 0)


def name(record: Record) -> str:
    """What happened, in a word or two: the hypercall, exit reason, vector, mnemonic, a mark's text..."""
    found = shape_of(record)
    if not found.payload:
        return found.name
    return payload_name(record.kind, _WORDS.pack(*record.args, *record.operand)[: found.payload])


def _value(record: Record, slot: Slot) -> int:
    field, index = slot.source.value
    value: int = getattr(record, field) if index is None else getattr(record, field)[index]
    value &= slot.mask
    return value - (1 << 32) if slot.style is Style.SIGNED and value >> 31 else value


def _argument(record: Record, slot: Slot) -> Argument:
    value = _value(record, slot)
    return Argument(slot.name, value, slot.text(value))


def arguments(record: Record) -> list[Argument]:
    """The arguments of a record, in the contract's order."""
    return [_argument(record, slot) for slot in shape_of(record).slots]


def result(record: Record) -> Argument | None:
    """What came back, where something does."""
    slot = shape_of(record).result
    return _argument(record, slot) if slot else None
