"""What becomes of one statement: its catalogue row, the macro that replaces it, and the text changes.

The same code serves assembly files and C inline assembly; in the latter a single ``%`` marks an operand
of the asm statement, whose nature the compiler decides (``Kind.OPEN``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from porter.catalogue import SPELLINGS, find
from porter.catalogue_model import (
    CONTROL_REGISTERS,
    DEBUG_REGISTERS,
    IMPLIED_ACC,
    NO_MACRO,
    SAME,
    SEGMENT_REGISTERS,
    Form,
    Kind,
    Row,
    Slot,
)
from porter.macro_arguments import REASON
from porter.model import RESOLVE, Change, Part, Sensitive
from porter.syntax import Atom, Statement

_ACCUMULATORS = {"b": "%al", "w": "%ax", "l": "%eax", "": "%eax"}
_ACC_NAMES = frozenset({"al", "ax", "eax"})
_GENERAL = re.compile(r"(?:e?(?:ax|bx|cx|dx|si|di|bp|sp)|[abcd][hl])\Z")
_BY_REGISTER = {Kind.SREG: "mov-to-sreg", Kind.CR: "mov-to-cr", Kind.DR: "mov-to-dr"}
_REPEAT = re.compile(r"rep(?:n?[ez])?\Z")


class Operand(NamedTuple):
    """An operand of a statement: its kind, its register name (or ''), and where its text lies."""

    kind: Kind | None
    name: str
    start: int
    end: int
    atoms: tuple[Atom, ...]


def _register_kind(name: str) -> Kind | None:
    if name in _ACC_NAMES:
        return Kind.ACC
    if name == "dx":
        return Kind.DX
    if name in SEGMENT_REGISTERS:
        return Kind.SREG
    if name in CONTROL_REGISTERS:
        return Kind.CR
    if name == "cr8":
        return Kind.CR8
    if name in DEBUG_REGISTERS:
        return Kind.DR
    return Kind.REG if _GENERAL.match(name) else None


def decode_operand(atoms: tuple[Atom, ...], template: bool) -> Operand:
    """Decide what an operand is. `template`: the text is that of an extended asm statement."""
    start, end = atoms[0].start, atoms[-1].end
    first = atoms[0]
    if len(atoms) == 1:
        if first.type == "PERCENT":
            if template and not first.text.startswith("%%"):
                return Operand(Kind.OPEN, "", start, end, atoms)
            name = first.text.lstrip("%").lower()
            if "\\" in name:
                return Operand(Kind.OPEN, name, start, end, atoms)
            return Operand(_register_kind(name), name.replace("db", "dr"), start, end, atoms)
        if first.type == "OPAQUE" or (first.type == "NAME" and first.text.startswith("\\")):
            return Operand(Kind.OPEN, first.text, start, end, atoms)
        if first.type == "group" and len(first.members) == 1 and first.members[0].type == "PERCENT":
            inner = decode_operand(first.members, template)
            if inner.kind is Kind.DX:
                return inner
    if first.type == "DOLLAR":
        return Operand(Kind.IMM, "", start, end, atoms)
    if first.type == "STAR":
        return Operand(Kind.IND, "", atoms[1].start if len(atoms) > 1 else end, end, atoms)
    if [atom.type for atom in atoms] == ["PERCENT", "OPAQUE"] and not first.text.strip("%"):
        return Operand(Kind.OPEN, "\2", start, end, atoms)  # "%%" REGISTER: the name comes from a C macro
    return Operand(Kind.MEM, "", start, end, atoms)


def _unparenthesised(operand: Operand) -> Operand:
    """A port may be written ``(%w1)``: what counts is inside the parentheses."""
    group = operand.atoms[0]
    if operand.kind is Kind.MEM and len(operand.atoms) == 1 and len(group.members) == 1:
        member = group.members[0]
        return Operand(Kind.OPEN, "", member.start, member.end, (member,))
    return operand


def _argument(operand: Operand, source: str, last: bool) -> tuple[Part, ...]:
    """The macro argument for an operand: its text, but GAS ends an argument at a blank, and compares case."""
    text = source[operand.start:operand.end]
    if operand.kind in (Kind.ACC, Kind.DX, Kind.REG, Kind.SREG) and text != text.lower():
        return (Part(text.lower()),)
    if not last and re.search(r"\s", text):
        return (Part(re.sub(r"\s+", "", text)),)
    return (Part("", operand.start, operand.end),)


def _segment_of(memory: Operand) -> str:
    """The segment override of a string instruction's source operand, '' where there is none."""
    first = memory.atoms[0]
    name = first.text.lower()
    return name if first.type == "PERCENT" and name.lstrip("%") in SEGMENT_REGISTERS else ""


def _could_be_sensitive(rows: Sequence[Row], operands: Sequence[Operand]) -> bool:
    """Whether an operand that only a macro argument names may be a segment, control or debug register."""
    privileged = {Slot.SREG, Slot.CR, Slot.DR}
    return any(
        len(form.slots) == len(operands)
        and any(slot in privileged and operand.name[-1:] and operand.kind is Kind.OPEN
                for slot, operand in zip(form.slots, operands, strict=True))
        for row in rows for form in row.forms
    )


def _named_by_argument(statement: Statement, template: bool) -> Sensitive | None:
    """A statement whose mnemonic is an argument of the macro that it is in, and that has a sensitive register."""
    kinds = [decode_operand(atoms, template).kind for atoms in statement.operands if atoms]
    key = next((_BY_REGISTER[kind] for kind in kinds if kind in _BY_REGISTER), None)
    return Sensitive(statement.start, statement.end, "", key, "", (), REASON) if key else None


def classify(statement: Statement, source: str, template: bool = False) -> Sensitive | None:
    """Decide about one statement of `source`. None: it is not sensitive."""
    head = statement.head
    spelling = SPELLINGS.get(head.text.lower()) if head else None
    if head is None or spelling is None:
        return _named_by_argument(statement, template) if head and head.text.startswith("\\") else None
    operands = [decode_operand(atoms, template) for atoms in statement.operands if atoms]
    if any(Slot.PORT in form.slots for row in spelling.rows for form in row.forms):
        operands = [_unparenthesised(operand) for operand in operands]
    labels = "".join(label.text for label in statement.labels)
    row = spelling.rows[0]

    def left(why: str) -> Sensitive:
        return Sensitive(statement.start, statement.end, labels, row.key, "", (), why)

    kinds = [operand.kind for operand in operands if operand.kind]
    match = find(head.text, kinds) if len(kinds) == len(operands) else None
    if match is None:
        if statement.leads or len(kinds) != len(operands) or not _could_be_sensitive(spelling.rows, operands):
            return None
        change = Change(head.start, head.end, (Part(f"{RESOLVE} "), Part("", head.start, head.end)))
        return Sensitive(statement.start, statement.end, labels, row.key, RESOLVE, (change,))
    row = match.row
    if match.form is None:
        return left(row.why)
    opaque = [*statement.leads, *(atom for atoms in statement.operands for atom in atoms[1:-1])]
    if any(atom.type == "OPAQUE" for atom in opaque):
        return left("written with a C macro that is not known here")
    prefixes = [lead.text.lower() for lead in statement.leads if lead.type == "PREFIX"]
    if "lock" in prefixes:
        return left("lock makes it an invalid opcode, as on hardware")
    written = source[statement.start:statement.end].lower()
    if "addr16" in prefixes or (row.string and re.search(r"%[sd]i\b", written)):
        return left("16-bit addressing has no macro")
    macro = _macro_name(match.form, operands, "w" if "data16" in prefixes else spelling.suffix)
    if macro == NO_MACRO:
        return left("the 16-bit operand size has no macro")
    if row.string:
        macro = f"rep_{macro}" if any(_REPEAT.match(prefix) for prefix in prefixes) else macro
        args = _string_arguments(row, operands, prefixes)
    else:
        args = _arguments(match.form, operands, prefixes, spelling.suffix, source)
    macro = f"r3_{macro}"
    return Sensitive(statement.start, statement.end, labels, row.key, macro, _changes(statement, macro, args),
                     string=row.string)


def _macro_name(form: Form, operands: Sequence[Operand], size: str) -> str:
    name = form.macro if size != "w" or form.word == SAME else form.word
    return name.format(*[operand.name for operand in operands], size=size or "l")


def _string_arguments(row: Row, operands: Sequence[Operand],
                      prefixes: Sequence[str]) -> list[tuple[Part, ...]]:
    """outs takes the segment that its source is in, where that is not DS."""
    overrides = [f"%{prefix}" for prefix in prefixes if prefix in SEGMENT_REGISTERS]
    overrides += [_segment_of(operand) for operand in operands if operand.kind is Kind.MEM]
    segment = overrides[0] if row.key == "outs" and overrides else ""
    return [(Part(segment),)] if segment.strip("%") not in ("", "ds") else []


def _arguments(form: Form, operands: Sequence[Operand], prefixes: Sequence[str], suffix: str,
               source: str) -> list[tuple[Part, ...]]:
    segments = [prefix for prefix in prefixes if prefix in SEGMENT_REGISTERS]
    args: list[tuple[Part, ...]] = []
    for position, index in enumerate(form.args):
        if index == IMPLIED_ACC:
            args.append((Part(_ACCUMULATORS[suffix]),))
            continue
        argument = _argument(operands[index], source, position == len(form.args) - 1)
        if segments and operands[index].kind in (Kind.MEM, Kind.IND):
            argument = (Part(f"%{segments[-1]}:"), *argument)
        args.append(argument)
    return args


def _changes(statement: Statement, macro: str, args: list[tuple[Part, ...]]) -> tuple[Change, ...]:
    """The mnemonic becomes the macro; operands are touched only where they are not already its arguments."""
    assert statement.head
    name = Change(statement.start, statement.head.end, (Part(macro),))
    written = [(atoms[0].start, atoms[-1].end) for atoms in statement.operands if atoms]
    if not args:
        return (Change(statement.start, statement.end, (Part(macro),)),)
    if args == [(Part("", start, end),) for start, end in written]:
        return (name,)
    parts = [part for index, arg in enumerate(args) for part in ((Part(", "),) if index else ()) + arg]
    if not written:
        return (Change(statement.start, statement.end, (Part(f"{macro} "), *parts)),)
    return name, Change(written[0][0], statement.end, tuple(parts))
