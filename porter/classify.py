"""What becomes of one statement: its catalogue row, the macro that replaces it, and the text changes.

The same code serves assembly files and C inline assembly; in the latter a single ``%`` marks an operand
of the asm statement, whose nature the compiler decides (``Kind.OPEN``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from porter.catalogue import SPELLINGS, find
from porter.catalogue_model import IMPLIED_ACC, NO_MACRO, SAME, Cost, Kind, Row, Slot, Treatment
from porter.syntax import Atom, Statement

_ACCUMULATORS = {"b": "%al", "w": "%ax", "l": "%eax", "": "%eax"}
_ACC_NAMES = frozenset({"al", "ax", "eax"})
_SREG_NAMES = frozenset({"cs", "ds", "es", "fs", "gs", "ss"})
_GENERAL = re.compile(r"(?:e?(?:ax|bx|cx|dx|si|di|bp|sp)|[abcd][hl])\Z")
_REPEAT = re.compile(r"rep(?:n?[ez])?\Z")


class Part(NamedTuple):
    """A piece of replacement text: literal `text`, or the source between two offsets, kept verbatim."""

    text: str = ""
    start: int = 0
    end: int = 0


class Change(NamedTuple):
    """Replace the source between `start` and `end` by `parts`."""

    start: int
    end: int
    parts: tuple[Part, ...]


class Decision(NamedTuple):
    """The outcome for one sensitive statement. `changes` is empty where `reason` says why nothing is done."""

    row: Row
    macro: str
    changes: tuple[Change, ...] = ()
    reason: str = ""

    @property
    def treatment(self) -> str:
        if self.changes:
            return "ported"
        return self.row.treatment.value if self.row.treatment is not Treatment.PORT else "left"

    @property
    def cost(self) -> Cost:
        return self.row.cost if self.changes else Cost.NONE


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
    if name in _SREG_NAMES:
        return Kind.SREG
    if re.fullmatch(r"cr[0234]", name):
        return Kind.CR
    if name == "cr8":
        return Kind.CR8
    if re.fullmatch(r"d[rb][0-7]", name):
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
    if len(atoms) == 2 and first.type == "PERCENT" and first.text.strip("%") == "" and atoms[1].type == "OPAQUE":
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
    return name if first.type == "PERCENT" and name.lstrip("%") in _SREG_NAMES else ""


def _could_be_sensitive(rows: Sequence[Row], operands: Sequence[Operand]) -> bool:
    """Whether an operand that only a macro argument names may turn out a segment, control or debug register."""
    privileged = {Slot.SREG, Slot.CR, Slot.DR}
    return any(
        len(form.slots) == len(operands)
        and any(slot in privileged and operand.name[-1:] and operand.kind is Kind.OPEN
                for slot, operand in zip(form.slots, operands, strict=True))
        for row in rows for form in row.forms
    )


def classify(statement: Statement, source: str, template: bool = False) -> Decision | None:
    """Decide about one statement of `source`. None: it is not sensitive."""
    head = statement.head
    if head is None:
        return None
    mnemonic = head.text.lower()
    spelling = SPELLINGS.get(mnemonic)
    if spelling is None:
        return None
    operands = [decode_operand(atoms, template) for atoms in statement.operands if atoms]
    if Slot.PORT in {slot for row in spelling.rows for form in row.forms for slot in form.slots}:
        operands = [_unparenthesised(operand) for operand in operands]
    kinds = [operand.kind for operand in operands]
    if None in kinds:
        return None
    match = find(mnemonic, [kind for kind in kinds if kind])
    if match is None:
        if _could_be_sensitive(spelling.rows, operands):
            return Decision(spelling.rows[0], "", reason="the register is a macro argument, known only to the assembler")
        return None
    row, form = match
    if form is None:
        return Decision(row, "", reason=row.why)
    prefixes = [lead.text.lower() for lead in statement.leads if lead.type == "PREFIX"]
    if any(lead.type == "OPAQUE" for lead in statement.leads) or any(
            atom.type == "OPAQUE" for atoms in statement.operands for atom in atoms[1:-1]):
        return Decision(row, "", reason="written with a C macro that is not known here")
    return _replace(statement, source, row, form, operands, spelling.suffix, prefixes)


def _replace(statement: Statement, source: str, row: Row, form, operands: list[Operand], suffix: str,
             prefixes: list[str]) -> Decision:
    assert statement.head
    if "addr16" in prefixes:
        return Decision(row, "", reason="16-bit addressing has no macro")
    if "lock" in prefixes:
        return Decision(row, "", reason="lock makes it an invalid opcode, as on hardware")
    segments = [p for p in prefixes if p in _SREG_NAMES]
    size = "w" if "data16" in prefixes else suffix
    macro = form.macro
    if size == "w" and form.word != SAME:
        if form.word == NO_MACRO:
            return Decision(row, "", reason="the 16-bit operand size has no macro")
        macro = form.word
    macro = macro.format(*[operand.name for operand in operands], size=size or "l")
    args: list[tuple[Part, ...]] = []
    if row.string:
        if any(_REPEAT.match(p) for p in prefixes):
            macro = f"rep_{macro}"
        memory = [operand for operand in operands if operand.kind is Kind.MEM]
        if any("%di" in source[m.start:m.end].lower() or "%si" in source[m.start:m.end].lower() for m in memory):
            return Decision(row, "", reason="16-bit addressing has no macro")
        override = f"%{segments[-1]}" if segments else _segment_of(memory[0]) if memory else ""
        if row.key == "outs" and override not in ("", "%ds", "%%ds"):
            args.append((Part(override),))
    else:
        for position, index in enumerate(form.args):
            if index == IMPLIED_ACC:
                args.append((Part(_ACCUMULATORS[suffix]),))
                continue
            argument = _argument(operands[index], source, position == len(form.args) - 1)
            if operands[index].kind is Kind.MEM and segments:
                argument = (Part(f"%{segments[-1]}:"), *argument)
            args.append(argument)
    return Decision(row, f"r3_{macro}", _changes(statement, f"r3_{macro}", args, source))


def _changes(statement: Statement, macro: str, args: list[tuple[Part, ...]], source: str) -> tuple[Change, ...]:
    """The mnemonic becomes the macro; the operands are touched only where they are not already its arguments."""
    assert statement.head
    name = Change(statement.start, statement.head.end, (Part(macro),))
    written = statement.operands
    if not args:
        if not written:
            return (name,)
        return (Change(statement.start, statement.end, (Part(macro),)),)
    parts = [part for index, arg in enumerate(args) for part in ((Part(", "),) if index else ()) + arg]
    if not written:
        return (Change(statement.start, statement.end, (Part(f"{macro} "), *parts)),)
    start = next(atoms[0].start for atoms in written if atoms)
    plain = [atoms for atoms in written if atoms]
    if len(args) == len(plain) and all(
            arg == (Part("", atoms[0].start, atoms[-1].end),) for arg, atoms in zip(args, plain, strict=True)):
        return (name,)
    return name, Change(start, statement.end, tuple(parts))
