"""What becomes of one statement: its catalogue row, the macro that replaces it, and the text changes.

The same code serves both syntaxes, and assembly files as well as C inline assembly; in the latter a single
``%`` marks an operand of the asm statement, whose nature the compiler decides (``Kind.OPEN``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from porter.catalogue import BY_KEY, INTEL_SPELLINGS, INVALID, LONG_SPELLINGS, SPELLINGS, find
from porter.catalogue_model import (
    ENCODING_SUFFIXES,
    IMPLIED_ACC,
    NO_MACRO,
    SAME,
    Form,
    Kind,
    Row,
    Slot,
    Treatment,
)
from porter.macro_arguments import REASON
from porter.model import ATT, RESOLVE, Change, Part, Sensitive, Syntax, in_family
from porter.operands import Operand, decode, is_long, value_start
from porter.prefixes import ADDRESS_16, LOCK, OPERAND_16, REPEAT, SEGMENT, WAIT
from porter.syntax import Atom, Statement

_ACCUMULATORS = {"b": "al", "w": "ax", "l": "eax", "": "eax"}
_IN_INTEL_ORDER = frozenset({"in", "out"})  # rows whose macros for Intel syntax take the operands in its order
_BY_REGISTER = {Kind.SREG: "mov-to-sreg", Kind.CR: "mov-to-cr", Kind.DR: "mov-to-dr"}
_MACRO_PARTS = re.compile(r"\\(?:\(\)|@|\w+)")
_CLOSING = {"(": ")", "[": "]"}
_MEMORY = frozenset({Slot.RM, Slot.MEM, Slot.IND, Slot.FAR})
_NAMES = frozenset(f"{prefix}{name}" for prefix in ("", "e")
                   for name in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp"))
_REGISTERS = frozenset({Kind.ACC, Kind.DX, Kind.REG, Kind.SREG})
_16_BIT_ADDRESS = {False: re.compile(r"%[ \t]*[sd]i\b"), True: re.compile(r"(?<![\w.$\\])[sd]i\b")}


def _port(operand: Operand) -> Operand:
    """An operand of a port instruction: ``(%w1)`` is what is inside the parentheses, and GAS takes EDX for DX."""
    group = operand.atoms[0]
    if operand.kind is Kind.MEM and len(operand.atoms) == 1 and group.text == "(" and len(group.members) == 1:
        member = group.members[0]
        return Operand(Kind.OPEN, "", member.start, member.end, (member,))
    return operand._replace(kind=Kind.DX) if operand.kind is Kind.REG and operand.name == "edx" else operand


def _compact(atoms: Sequence[Atom]) -> str:
    """The text of atoms without blanks between them; the character constant of a blank becomes its number."""
    pieces = []
    for atom in atoms:
        if atom.type == "group":
            pieces.append(f"{atom.text}{_compact(atom.members)}{_CLOSING[atom.text]}")
        elif atom.type == "CHAR" and atom.text[1:2].isspace():
            pieces.append(str(ord(atom.text[1])))
        else:
            pieces.append(re.sub(r"\s+", "", atom.text))
    return "".join(pieces)


class _Writer:
    """Writes macro arguments in the syntax of the statement that they are taken from."""

    def __init__(self, source: str, syntax: Syntax, template: bool) -> None:
        self._source, self._syntax, self._template = source, syntax, template

    def register(self, name: str) -> str:
        """A register that the statement implies, or names as a prefix."""
        if self._syntax.intel and self._syntax.naked:
            return name
        return f"%%{name}" if self._template else f"%{name}"

    def argument(self, operand: Operand, last: bool) -> tuple[Part, ...]:
        """The argument for an operand: its text, but GAS ends an argument at a blank, and compares case."""
        text = self._source[operand.start:operand.end]
        if operand.kind in _REGISTERS:
            if operand.kind is Kind.DX and operand.name != "dx":
                return (Part(self.register("dx")),)
            if not self._syntax.intel and not text.startswith("%"):
                return (Part(self.register(text.lower())),)
            written = re.sub(r"\s+", "", text.lower())
            if text != written:
                return (Part(written),)
        # The macro has its own `offset`, and its own size.
        plain = operand.kind is Kind.IMM or operand.bare or operand.atoms[0].text.lower() == "offset"
        start = value_start(operand) if plain else operand.start
        whole, text = Part("", start, operand.end), self._source[start:operand.end]
        if operand.bare or (operand.kind is Kind.SYMBOL and text.lower() in _NAMES and not self._syntax.naked):
            return Part("["), whole, Part("]")  # what the macro would take for an immediate, or for a register
        # Memory that comes last is taken with its blanks.
        if not re.search(r"\s", text) or (last and (self._syntax.intel or operand.kind is not Kind.IMM)):
            return (whole,)
        if self._syntax.intel:
            return Part('"'), whole, Part('"')
        return (Part(_compact(operand.atoms)),)


def _could_be_sensitive(rows: Sequence[Row], operands: Sequence[Operand]) -> bool:
    """Whether an operand that only a macro argument names may be a segment, control or debug register."""
    privileged = {Slot.SREG, Slot.CR, Slot.DR}
    return any(
        len(form.slots) == len(operands)
        and any(slot in privileged and operand.name[-1:] and operand.kind is Kind.OPEN
                for slot, operand in zip(form.slots, operands, strict=True))
        for row in rows for form in row.forms
    )


def _named_by_argument(statement: Statement, head: str, template: bool, syntax: Syntax) -> Sensitive | None:
    """A statement whose mnemonic, or a part of it, is an argument of the macro that it is in.

    Sensitive by a register, or because some mnemonic of the catalogue fits what is written out and the operands.
    """
    kinds = [operand.kind for operand in decode(statement.operands, template, syntax, branch=False)]
    key = next((_BY_REGISTER[kind] for kind in kinds if kind in _BY_REGISTER), None)
    known = [kind for kind in kinds if kind]
    if key is None and len(known) == len(kinds) and (written := _MACRO_PARTS.split(head)) != ["", ""]:
        pattern = re.compile(".*".join(map(re.escape, written)))
        spellings = INTEL_SPELLINGS if syntax.intel else SPELLINGS
        matches = (find(spelling, known) for name, spelling in spellings.items() if pattern.fullmatch(name))
        key = next((match.row.key for match in matches if match), None)
    return Sensitive(statement.start, statement.end, "", key, "", (), REASON) if key else None


def _of_long_mode(statement: Statement, mnemonic: str, template: bool, syntax: Syntax) -> Sensitive | None:
    """A statement that only 64-bit mode has, and that would be sensitive with 32-bit operands."""
    short = (INTEL_SPELLINGS if syntax.intel else SPELLINGS).get(mnemonic)
    spellings = [LONG_SPELLINGS.get(mnemonic), short]
    decoded = decode(statement.operands, template, syntax, branch=False)
    wide = [is_long(operand) for operand in decoded]
    kinds = [Kind.REG if long else operand.kind for operand, long in zip(decoded, wide, strict=True)]
    known = [kind for kind in kinds if kind]
    for spelling in spellings:
        if spelling and len(known) == len(kinds) and (spelling is not short or any(wide)):
            match = find(spelling, known)
            if match:
                key = match.row.key if match.row.treatment is Treatment.REFUSE else "x86-64"
                labels = "".join(label.text for label in statement.labels)
                return Sensitive(statement.start, statement.end, labels, key, "", (), BY_KEY[key].why)
    return None


def _mnemonic(head: str) -> str:
    """A mnemonic as the catalogue has it: without what chooses an encoding, and what only ends a macro argument."""
    name = head.lower().replace("\\()", "")
    return next((name.removesuffix(suffix) for suffix in ENCODING_SUFFIXES if name.endswith(suffix)), name)


def _colon_obstacle(operands: Sequence[Operand], source: str) -> str:
    """Why a far pointer in Intel syntax does not mean what it seems to: ``1 + 7:start``, ``offset 8:start``."""
    first, last = operands[0], operands[-1]
    if last is not first and len(first.atoms) > 1 and ":" in source[first.end:last.start]:
        return "the colon takes only the last word of the selector: write the selector in parentheses"
    if last is first and first.bare and any(atom.text == ":" for atom in first.atoms):
        return "with `offset` in front, a far pointer is the memory at its offset: leave the word out"
    return ""


def _obstacle(row: Row, form: Form, operands: Sequence[Operand], prefixes: Sequence[str], size: str) -> str:
    """Why no macro does what a statement of this operand size does with its prefixes; '' where one does."""
    if LOCK in prefixes:
        return "lock makes it an invalid opcode, as on hardware"
    if WAIT in prefixes:
        return "wait is an instruction of its own: write it as a statement"
    if not row.string and not REPEAT.isdisjoint(prefixes):
        return "only string instructions are repeated: leave the prefix out"
    if not ADDRESS_16.isdisjoint(prefixes):
        return "16-bit addressing has no macro"
    if not SEGMENT.keys().isdisjoint(prefixes) and any(operand.segment for operand in operands):
        return "two segment overrides: leave one out"
    wide = any(operand.kind in (Kind.ACC, Kind.REG) and operand.name.startswith("e") for operand in operands) or (
        IMPLIED_ACC in form.args and size != "b")
    if not OPERAND_16.isdisjoint(prefixes) and form.word == SAME and wide:
        return "an operand-size prefix that its 32-bit operand contradicts: leave it out"
    return ""


def classify(statement: Statement, source: str, template: bool = False, syntax: Syntax = ATT) -> Sensitive | None:
    """Decide about one statement of `source`. None: it is not sensitive."""
    head = statement.head
    if head is None:
        return None
    mnemonic = _mnemonic(head.text)
    spelling = (INTEL_SPELLINGS if syntax.intel else SPELLINGS).get(mnemonic)
    if spelling is None:
        if "\\" in mnemonic:
            return _named_by_argument(statement, mnemonic, template, syntax)
        return _of_long_mode(statement, mnemonic, template, syntax)
    if statement.operands and statement.operands[0] and statement.operands[0][0].text == "=":
        return None  # a symbol of this name
    branch = any(form.slots == (Slot.IMM, Slot.IMM) for row in spelling.rows for form in row.forms)
    operands = decode(statement.operands, template, syntax, branch)
    if any(Slot.PORT in form.slots for row in spelling.rows for form in row.forms):
        operands = [_port(operand) for operand in operands]
    labels = "".join(label.text for label in statement.labels)
    row = spelling.rows[0]

    def left(why: str) -> Sensitive:
        return Sensitive(statement.start, statement.end, labels, row.key, "", (), why)

    kinds = [operand.kind for operand in operands if operand.kind]
    match = find(spelling, kinds) if len(kinds) == len(operands) else None
    if match is None:
        long = _of_long_mode(statement, mnemonic, template, syntax)
        if long:
            return long
        if statement.leads or len(kinds) != len(operands) or not _could_be_sensitive(spelling.rows, operands):
            return None
        if syntax.naked and not syntax.intel:
            return left("a macro argument names the register without %: write the % in the macro")
        return Sensitive(statement.start, statement.end, labels, row.key, in_family(RESOLVE, syntax),
                         _resolution(statement, operands, source, syntax))
    row = match.row
    if match.form is None:
        return left(row.why)
    opaque = [*statement.leads, *(atom for atoms in statement.operands for atom in atoms[1:-1])]
    if any(atom.type == "OPAQUE" for atom in opaque):
        return left("written with a C macro that is not known here")
    obstacle = _colon_obstacle(operands, source) if syntax.intel and branch else ""
    if obstacle:
        return left(obstacle)
    prefixes = [lead.text.lower().rstrip("/") for lead in statement.leads if lead.type == "PREFIX"]
    size = spelling.suffix or next((operand.size for operand in operands if operand.size in ("b", "w", "l")), "")
    word = not OPERAND_16.isdisjoint(prefixes) and size != "b"
    macro = _macro_name(match.form, operands, "w" if word else size)
    if macro in INVALID:
        return None
    obstacle = _obstacle(row, match.form, operands, prefixes, size)
    if obstacle:
        return left(obstacle)
    written = source[statement.start:statement.end].lower()
    if row.string and _16_BIT_ADDRESS[syntax.intel or syntax.naked].search(written):
        return left("16-bit addressing has no macro")
    if macro == NO_MACRO:
        return left("the 16-bit operand size has no macro")
    if row.string and syntax.intel and not size:
        return left("only the compiler knows its operand size: write it with the size, as insb, insw or insd")
    writer = _Writer(source, syntax, template)
    if row.string:
        macro = f"rep_{macro}" if not REPEAT.isdisjoint(prefixes) else macro
        args = _string_arguments(row, operands, prefixes, writer)
    else:
        args = _arguments(match.form, operands, prefixes, size, writer)
        if syntax.intel and row.key in _IN_INTEL_ORDER:
            args = _arguments(match.form._replace(args=match.form.args[::-1]), operands, prefixes, size, writer)
    macro = in_family(f"r3_{macro}", syntax)
    return Sensitive(statement.start, statement.end, labels, row.key, macro, _changes(statement, macro, args))


def _macro_name(form: Form, operands: Sequence[Operand], size: str) -> str:
    name = form.macro if size != "w" or form.word == SAME else form.word
    return name.format(*[operand.name for operand in operands], size=size or "l")


def _string_arguments(row: Row, operands: Sequence[Operand], prefixes: Sequence[str],
                      writer: _Writer) -> list[tuple[Part, ...]]:
    """outs takes the segment that its source is in, where that is not DS."""
    overrides = [SEGMENT[prefix] for prefix in prefixes if prefix in SEGMENT]
    overrides += [operand.segment for operand in operands if operand.segment]
    segment = overrides[-1] if row.key == "outs" and overrides else "ds"
    return [(Part(writer.register(segment)),)] if segment != "ds" else []


def _arguments(form: Form, operands: Sequence[Operand], prefixes: Sequence[str], suffix: str,
               writer: _Writer) -> list[tuple[Part, ...]]:
    segments = [SEGMENT[prefix] for prefix in prefixes if prefix in SEGMENT]
    args: list[tuple[Part, ...]] = []
    for position, index in enumerate(form.args):
        if index == IMPLIED_ACC:
            args.append((Part(writer.register(_ACCUMULATORS[suffix])),))
            continue
        argument = writer.argument(operands[index], position == len(form.args) - 1)
        if segments and form.slots[index] in _MEMORY and operands[index].kind not in _REGISTERS:
            argument = (Part(f"{writer.register(segments[-1])}:"), *argument)
        args.append(argument)
    return args


def _resolution(statement: Statement, operands: Sequence[Operand], source: str, syntax: Syntax) -> tuple[Change, ...]:
    """The changes that leave a statement to the assembler: see resolve.py."""
    assert statement.head
    name = Change(statement.start, statement.head.end, (
        Part(f"{in_family(RESOLVE, syntax)} "), Part("", statement.head.start, statement.head.end)))
    if not syntax.intel:
        return (name._replace(parts=(*name.parts, Part(","))),)  # else a sign in front of the operand would join them
    # Arguments end at blanks, which operands in Intel syntax have: each is quoted.
    parts = [part for operand in reversed(operands)
             for part in (Part(', "'), Part("", operand.start, operand.end), Part('"'))]
    return name, Change(statement.head.end, statement.end, tuple(parts))


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
