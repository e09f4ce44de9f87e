"""What an operand of a statement is, in AT&T and in Intel syntax, as far as the catalogue must know."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from porter.catalogue_model import CONTROL_REGISTERS, DEBUG_REGISTERS, SEGMENT_REGISTERS, Kind
from porter.model import Syntax
from porter.syntax import Atom

_ACC_NAMES = frozenset({"al", "ax", "eax"})
_GENERAL = re.compile(r"(?:e?(?:ax|bx|cx|dx|si|di|bp|sp)|[abcd][hl])\Z")
_LONG = re.compile(r"(?:%{1,2}[ \t]*)?r(?:[abcd]x|[sd]i|[sb]p|(?:[89]|1[0-5])[dwb]?)\Z", re.IGNORECASE)
# The sizes that Intel syntax writes in front of `ptr`, as AT&T suffixes; "f" is that of a far pointer.
_SIZES = {"byte": "b", "word": "w", "dword": "l", "fword": "f", "far": "f"}


class Operand(NamedTuple):
    """An operand of a statement: its kind, its register name (or ''), and where its text lies.

    `size` and `segment` are what the operand itself says of memory, '' where it says nothing.
    """

    kind: Kind | None
    name: str
    start: int
    end: int
    atoms: tuple[Atom, ...]
    size: str = ""
    segment: str = ""
    bare: bool = False  # memory that only the instruction says to be such


def register_kind(name: str) -> Kind | None:
    """The kind of a register by its name, in lower case and without sign; None: no register of the catalogue."""
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


def _register(atom: Atom, template: bool, naked: bool) -> Operand | None:
    """The register, or the operand only known later, that a single atom is."""
    if atom.type == "PERCENT":
        if template and not atom.text.startswith("%%"):
            return Operand(Kind.OPEN, "", atom.start, atom.end, (atom,))
        name = atom.text.lstrip("% \t").lower()
        if "\\" in name:
            return Operand(Kind.OPEN, name, atom.start, atom.end, (atom,))
        return Operand(register_kind(name), name.replace("db", "dr"), atom.start, atom.end, (atom,))
    if atom.type == "OPAQUE" or (atom.type == "NAME" and atom.text.startswith("\\")):
        return Operand(Kind.OPEN, atom.text, atom.start, atom.end, (atom,))
    if naked and atom.type == "NAME":
        kind = register_kind(atom.text.lower())
        if kind:
            return Operand(kind, atom.text.lower().replace("db", "dr"), atom.start, atom.end, (atom,))
    return None


def _att(atoms: tuple[Atom, ...], template: bool, naked: bool) -> Operand:
    start, end = atoms[0].start, atoms[-1].end
    first = atoms[0]
    if len(atoms) == 1:
        register = _register(first, template, naked)
        if register:
            return register
        if first.type == "group" and len(first.members) == 1:
            inner = _register(first.members[0], template, naked)
            if inner and inner.kind is Kind.DX:
                return inner
    if first.type == "DOLLAR":
        return Operand(Kind.IMM, "", start, end, atoms)
    if first.type == "STAR":
        return _att(atoms[1:], template, naked)._replace(kind=Kind.IND) if len(atoms) > 1 else Operand(
            Kind.IND, "", end, end, atoms)
    if [atom.type for atom in atoms] == ["PERCENT", "OPAQUE"] and not first.text.strip("%"):
        return Operand(Kind.OPEN, "\2", start, end, atoms)  # "%%" REGISTER: the name comes from a C macro
    segment = _register(first, template, naked)
    return Operand(Kind.MEM, "", start, end, atoms,
                   segment=segment.name if segment and segment.kind is Kind.SREG else "")


def _is_word(atom: Atom, word: str) -> bool:
    return atom.type == "NAME" and atom.text.lower() == word


def _flat(atoms: Sequence[Atom]) -> Iterator[Atom]:
    """Atoms with the members of groups."""
    for atom in atoms:
        yield atom
        yield from _flat(atom.members)


def _intel(atoms: tuple[Atom, ...], template: bool, naked: bool) -> Operand:
    start, end = atoms[0].start, atoms[-1].end
    while len(atoms) == 1 and atoms[0].text == "(" and atoms[0].members:
        atoms = atoms[0].members  # the assembler takes any operand in parentheses
    if len(atoms) == 1:
        register = _register(atoms[0], template, naked)
        if register:
            return register
    if [atom.type for atom in atoms] == ["PERCENT", "OPAQUE"] and not atoms[0].text.strip("%"):
        return Operand(Kind.OPEN, "\2", start, end, atoms)
    size = segment = ""
    memory = False
    symbols = [atom for atom in _flat(atoms) if atom.type not in ("NUMBER", "CHAR", "PUNCTUATION", "group")]
    for atom, following in itertools.pairwise(atoms):
        if _is_word(following, "ptr"):
            size = size or _SIZES.get(atom.text.lower(), "")
            symbols = [symbol for symbol in symbols if symbol not in (atom, following)]
        elif following.text == ":":
            register = _register(atom, template, naked)
            segment = register.name if register and register.kind is Kind.SREG else segment
            memory = True
    if any(member.type == "COMMA" for atom in atoms for member in atom.members):
        return Operand(None, "", start, end, atoms)  # the arguments of a C macro
    memory = memory or any(atom.text == "[" for atom in atoms)
    registers = (_register(atom, template, naked) for atom in _flat(atoms))
    based = memory and any(register and register.kind is not Kind.SREG for register in registers)
    if not (memory or symbols) or (_is_word(atoms[0], "offset") and not based):
        kind = Kind.IMM
    else:
        kind = Kind.MEM if memory else Kind.SYMBOL
    return Operand(kind, "", start, end, atoms, size, segment)


def is_long(operand: Operand) -> bool:
    """Whether an operand is a general register that only 64-bit mode has (or a symbol of that name, without a %)."""
    return len(operand.atoms) == 1 and _LONG.match(operand.atoms[0].text) is not None


def value_start(operand: Operand) -> int:
    """Where the value of an operand begins, behind `offset`, `short` and a size."""
    words = [atom for atom in operand.atoms if any(_is_word(atom, word) for word in ("offset", "ptr", "short"))]
    return next((atom.start for atom in operand.atoms if words and atom.start > words[-1].start), operand.start)


def _far_pointer(atoms: tuple[Atom, ...], template: bool, naked: bool) -> list[Operand]:
    """Selector and offset of ``8:start``; empty where the colon, if any, is that of a segment override."""
    if len(atoms) > 2 and _is_word(atoms[0], "far") and _is_word(atoms[1], "ptr"):
        atoms = atoms[2:]
    colon = next((index for index, atom in enumerate(atoms) if atom.text == ":"), 0)
    selector, offset = atoms[:colon], atoms[colon + 1:]
    if not selector or not offset or _is_word(selector[0], "offset"):
        return []
    register = _register(selector[-1], template, naked)
    if register and register.kind is not Kind.OPEN:
        return []
    return [Operand(Kind.IMM, "", part[0].start, part[-1].end, part) for part in (selector, offset)]


def _target(operand: Operand) -> Operand:
    """The one operand of a jump or call: memory may be a far pointer, and a number is the address of memory."""
    if operand.kind in (Kind.IMM, Kind.SYMBOL):
        operand = operand._replace(kind=Kind.MEM, bare=True)
    return operand._replace(kind=Kind.FAR) if operand.size == "f" and operand.kind is Kind.MEM else operand


def decode(operands: Sequence[tuple[Atom, ...]], template: bool, syntax: Syntax, branch: bool) -> list[Operand]:
    """What the operands of a statement are, in AT&T order: the source first, and the selector before the offset.

    `template`: the text is that of an extended asm statement, where a single % is an operand of the statement.
    `branch`: the statement is a jump or call.
    """
    written = [atoms for atoms in operands if atoms]
    if not syntax.intel:
        return [_att(atoms, template, syntax.naked) for atoms in written]
    if branch:
        if len(written) == 1:
            far = _far_pointer(written[0], template, syntax.naked)
            return far or [_target(_intel(written[0], template, syntax.naked))]
        elif len(written) == 2:
            return [Operand(Kind.IMM, "", atoms[0].start, atoms[-1].end, atoms) for atoms in written]
    return [_intel(atoms, template, syntax.naked) for atoms in reversed(written)]
