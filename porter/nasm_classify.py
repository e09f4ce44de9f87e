"""What becomes of one line of NASM source: as ``classify`` does it for GAS, from the same catalogue.

A name that is no register may be a single-line macro, and stand for anything. Where the catalogue's answer hangs on
it, the statement is left to NASM with a macro that looks when it is assembled (``nasm_resolve``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from porter.catalogue import INVALID, SPELLINGS, find
from porter.catalogue_model import (
    CONTROL_REGISTERS,
    DEBUG_REGISTERS,
    NO_MACRO,
    SAME,
    SEGMENT_REGISTERS,
    Form,
    Kind,
    Row,
)
from porter.model import ANY, RESOLVE, Change, Part, Sensitive
from porter.nasm_syntax import NasmStatement, parse_line
from porter.operands import register_kind
from porter.prefixes import LOCK, REPEAT, WAIT
from porter.syntax import Atom

TIMES = "r3_times"  # repeats a macro, which `times` does not
BY_BITS = "r3_by_bits"  # for a line that is assembled as 16-bit code as well
PREFIX_ALONE = "its prefix is on a line of its own: write both on one line"

_BYTE = re.compile(r"[abcd][hl]\Z")
_SIZES = frozenset({"byte", "word", "dword", "qword", "tword", "oword", "near", "short", "far", "strict", "ptr"})
_GAS_ONLY = frozenset({"lret", "ljmp", "lcall", "lretq"})
# What NASM calls instructions whose names in the catalogue are GAS's: (mnemonic there, size suffix there).
_RENAMED = {
    "pushfw": ("pushf", "w"), "pushfd": ("pushf", "l"), "popfw": ("popf", "w"), "popfd": ("popf", "l"),
    "iretw": ("iret", "w"), "iretd": ("iret", "l"), "retfw": ("retf", "w"), "retfd": ("retf", "l"),
    "insb": ("ins", "b"), "insw": ("ins", "w"), "insd": ("ins", "l"),
    "outsb": ("outs", "b"), "outsw": ("outs", "w"), "outsd": ("outs", "l"),
    "int03": ("int3", ""), "int01": ("int1", ""), "icebp": ("int1", ""), "retfq": ("lretq", ""),
}
_BY_ORDER = frozenset({"in", "out"})  # their macros take the operands in NASM's order, all others in the catalogue's
_RESOLVED = {"mov": 2, "push": 1, "pop": 1}
_PARAMETER = re.compile(r"%[-+]?\d+|%\{[^}]*\}|%\+")


def _mnemonics() -> dict[str, tuple[str, str]]:
    plain = {name: (name, "") for name, spelling in SPELLINGS.items()
             if not spelling.suffix and name not in _GAS_ONLY and name not in ("ins", "outs")}
    return plain | _RENAMED


# NASM's mnemonics of the catalogue: the name there, and the size suffix there.
MNEMONICS: dict[str, tuple[str, str]] = _mnemonics()
REGISTERS = frozenset({*SEGMENT_REGISTERS, *CONTROL_REGISTERS, "cr8",
                       *(name for name in DEBUG_REGISTERS if name.startswith("dr"))})
BY_OPERAND = frozenset({"mov", "push", "pop", "jmp", "call"})  # sensitive only with some operands
SENSITIVE = frozenset({*MNEMONICS, *REGISTERS})


class Names(NamedTuple):
    """What the text around a line defines.

    `aliases` are single-line macros that may stand for a sensitive operand or a macro argument, `macros` the
    multi-line macros, and `passed` the words that those get as arguments.
    """

    aliases: frozenset[str] = frozenset()
    macros: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()


def expansions(pattern: str, names: Names) -> set[str]:
    """The sensitive words, mnemonics and registers, that a word with macro parameters in it may become."""
    return {word for passed in ("", *names.passed) if (word := _PARAMETER.sub(passed, pattern)) in SENSITIVE}


class _Operand(NamedTuple):
    """An operand: its kind, its register name (or ''), and its text without size words, which are apart."""

    kind: Kind
    name: str
    start: int
    end: int
    sizes: tuple[str, ...]
    atoms: tuple[Atom, ...]


def _kind(name: str) -> Kind:
    """What a word is: a register, or who knows what."""
    return (register_kind(name) if name not in DEBUG_REGISTERS or name in REGISTERS else None) or Kind.OPEN


def _operand(atoms: tuple[Atom, ...]) -> _Operand | None:
    sizes: list[str] = []
    while atoms and atoms[0].text.lower() in _SIZES:
        sizes.append(atoms[0].text.lower())
        atoms = atoms[1:]
    if not atoms:
        return None
    start, end, first = atoms[0].start, atoms[-1].end, atoms[0]
    kind: Kind = Kind.IMM
    name = ""
    if any(atom.type == "group" and atom.text == "[" for atom in atoms):
        kind = Kind.MEM
    elif len(atoms) == 1 and first.type in ("NAME", "PREFIX"):
        name = first.text.lower()
        kind = _kind(name)
    elif first.type == "NAME" and len(atoms) == 2 and atoms[1].text == "(":
        kind, name = Kind.OPEN, first.text.lower()  # perhaps a single-line macro with arguments
    elif first.text.startswith("%"):
        kind, name = Kind.OPEN, first.text
    return _Operand(kind, name, start, end, tuple(sizes), atoms)


def _bare_label(line: NasmStatement, names: Names) -> bool:
    """Whether the first word is a label without colon: an instruction's name stands behind it, and is no operand."""
    if not line.head or not line.operands or line.times[1] or line.leads:
        return False
    head, first = line.head.text.lower(), line.operands[0]
    if head in MNEMONICS or "%" in head or head in names.macros:
        return False
    if first[0].type == "TIMES":
        return True
    if first[0].type == "PREFIX":
        return len(first) > 1 and first[1].type in ("NAME", "PREFIX")
    if first[0].text.startswith("%"):
        return len(first) > 1 and first[1].type == "NAME"
    return first[0].type == "NAME" and first[0].text.lower() in MNEMONICS


_NO_NAMES = Names()


class _Line(NamedTuple):
    """A line with its mnemonic decoded: `mnemonic` and `suffix` are those of the catalogue."""

    text: str
    statement: NasmStatement
    labels: str
    mnemonic: str
    suffix: str
    operands: list[_Operand]
    prefixes: list[str]

    def sensitive(self, key: str, macro: str = "", changes: tuple[Change, ...] = (), reason: str = "") -> Sensitive:
        return Sensitive(self.statement.start, self.statement.end, self.labels, key, macro, changes, reason)

    def left(self, reason: str, key: str = "") -> Sensitive:
        return self.sensitive(key or SPELLINGS[self.mnemonic + self.suffix].rows[0].key, reason=reason)


def classify(text: str, base: int = 0, names: Names = _NO_NAMES) -> Sensitive | None:
    """Decide about the line that begins at `base` of `text`. None: it is not sensitive.

    Raises lark.UnexpectedInput.
    """
    statement = parse_line(text, base)
    if _bare_label(statement, names):
        label = statement.head
        assert label
        statement = parse_line(text, label.end)
        statement = statement._replace(labels=(label, *statement.labels))
    head = statement.head
    if head is None:
        return None
    labels = "".join(text[label.start:label.end] for label in statement.labels)
    if "%" in head.text or head.text.lower() in names.aliases:
        return _any(statement, labels, names)
    mnemonic, suffix = MNEMONICS.get(head.text.lower(), ("", ""))
    operands = [found for found in map(_operand, statement.operands) if found]
    if not mnemonic or len(operands) != len(statement.operands):
        return None
    line = _Line(text, statement, labels, mnemonic, suffix, operands, [lead.text.lower() for lead in statement.leads])
    return _branch(line, names) if mnemonic in ("jmp", "call") else _instruction(line, operands[::-1], names)


def _branch(line: _Line, names: Names) -> Sensitive | None:
    """A jump or call, which is sensitive where it is far."""
    if len(line.operands) != 1:
        return None
    (operand,) = line.operands
    colon = next((index for index, atom in enumerate(operand.atoms) if atom.type == "COLON"), None)
    if colon is None and "far" not in operand.sizes:
        alias = operand.kind is Kind.OPEN and operand.name in names.aliases
        return line.left("its target, perhaps a far one, is written with a macro: write it out") if alias else None
    far = line._replace(mnemonic=f"l{line.mnemonic}")
    if colon is None:
        if operand.kind is not Kind.MEM:
            return far.left("a far target without selector: write selector:offset")
        return _instruction(far, [operand._replace(kind=Kind.IND)], names)
    halves = [half for half in (_operand(operand.atoms[:colon]), _operand(operand.atoms[colon + 1:])) if half]
    if len(halves) != 2:
        return None
    return _instruction(far, [half._replace(kind=Kind.IMM, sizes=half.sizes + operand.sizes) for half in halves], names)


def _instruction(line: _Line, operands: list[_Operand], names: Names) -> Sensitive | None:
    """`operands` are in the catalogue's order."""
    match = find(SPELLINGS[line.mnemonic + line.suffix], [operand.kind for operand in operands])
    if match is None:
        return _resolved(line, names)
    row, form = match
    if form is None:
        return line.left(row.why, row.key)
    macro = macro_name(form, operands, _size(line, operands))
    if macro in INVALID:
        return None
    obstacle = _obstacle(line, operands, row, macro)
    if obstacle:
        return line.left(obstacle, row.key)
    if row.string:
        macro = macro if REPEAT.isdisjoint(line.prefixes) else f"rep_{macro}"
        segment = _segment(line) if row.key == "outs" else ""
        args: list[tuple[Part, ...]] = [(Part(segment),)] if segment not in ("", "ds") else []
    elif line.mnemonic in _BY_ORDER:
        args = [_argument(operand, "") for operand in line.operands]
    else:
        args = [_argument(operands[index], _segment(line)) for index in form.args]
    return line.sensitive(row.key, f"r3_{macro}", _changes(line, f"r3_{macro}", args))


def _obstacle(line: _Line, operands: list[_Operand], row: Row, macro: str) -> str:
    """Why a sensitive instruction has no macro, or cannot have the one that is its; '' where it has one."""
    if LOCK in line.prefixes:
        return "lock makes it an invalid opcode, as on hardware"
    if WAIT in line.prefixes:
        return "wait is an instruction of its own: write it on a line of its own"
    if not row.string and not REPEAT.isdisjoint(line.prefixes):
        return "only string instructions are repeated: leave the prefix out"
    if "a16" in line.prefixes:
        return "16-bit addressing has no macro"
    if macro == NO_MACRO:
        return "the 16-bit operand size has no macro"
    memory = [operand for operand in operands if operand.kind in (Kind.MEM, Kind.IND, Kind.OPEN)]
    if _segment(line) and any(not _takes_segment(operand) for operand in memory):
        return "the segment is a prefix: write it in the brackets of the operand"
    if "$" in line.text[slice(*line.statement.times)]:
        return "how often it is repeated depends on where it stands: write the instructions out"
    return ""


def _size(line: _Line, operands: list[_Operand]) -> str:
    """The size suffix, in the catalogue's letters."""
    if line.suffix == "b":
        return "b"
    if "o16" in line.prefixes:
        return "w"
    if line.mnemonic in ("ljmp", "lcall") and any("word" in operand.sizes for operand in operands):
        return "w"
    return "l" if "o32" in line.prefixes else line.suffix


def _segment(line: _Line) -> str:
    """The last segment prefix, '' where there is none."""
    return next((prefix for prefix in reversed(line.prefixes) if prefix in SEGMENT_REGISTERS), "")


def _takes_segment(operand: _Operand) -> bool:
    group = operand.atoms[0]
    return group.text == "[" and not any(atom.type == "COLON" for atom in group.members)


def macro_name(form: Form, operands: Sequence[_Operand], size: str) -> str:
    """The macro of a form, without its ``r3_``, for operands in the catalogue's order."""
    name = form.macro if size != "w" or form.word == SAME else form.word
    letter = {"l": "d", "": "d"}.get(size, size)
    return name.format(*[operand.name for operand in operands], size=letter)


def _argument(operand: _Operand, segment: str) -> tuple[Part, ...]:
    if segment and _takes_segment(operand):
        return Part(f"[{segment}:"), Part("", operand.start + 1, operand.end)
    return (Part("", operand.start, operand.end),)


def _changes(line: _Line, macro: str, args: Sequence[tuple[Part, ...]]) -> tuple[Change, ...]:
    """The mnemonic becomes the macro; operands are touched only where they are not already its arguments."""
    statement = line.statement
    assert statement.head
    start = statement.start
    if statement.times[1]:
        start = statement.times[0]
        count = line.text[start + len("times"):statement.times[1]].strip()
        macro = f"{TIMES} {count}, {macro}"
    if not args:
        return (Change(start, statement.end, (Part(macro),)),)
    name = Change(start, statement.head.end, (Part(macro),))
    written = [(atoms[0].start, atoms[-1].end) for atoms in statement.operands]
    if list(args) == [(Part("", first, last),) for first, last in written]:
        return (name,)
    parts = [part for index, arg in enumerate(args) for part in ((Part(", "),) if index else ()) + tuple(arg)]
    if not written:
        return (Change(start, statement.end, (Part(f"{macro} "), *parts)),)
    return name, Change(written[0][0], statement.end, tuple(parts))


def _any(statement: NasmStatement, labels: str, names: Names) -> Sensitive | None:
    """A line whose mnemonic is an argument of the macro that it is in."""
    assert statement.head
    pattern = "%1" if statement.head.text.lower() in names.aliases else statement.head.text.lower()
    words = sorted(expansions(pattern, names) & MNEMONICS.keys())
    if not words:
        return None
    mnemonic, suffix = MNEMONICS[words[0]]
    item = Sensitive(statement.start, statement.end, labels, SPELLINGS[mnemonic + suffix].rows[0].key, ANY,
                     (Change(statement.start, statement.start, (Part(f"{ANY} "),)),))
    behind = statement.leads or statement.times[1]
    return item.left("the mnemonic is a macro argument, behind a prefix: write the instruction out") if behind else item


def _registers(atoms: Sequence[Atom], names: Names) -> bool:
    """Whether a sensitive register may be named by atoms that are not one themselves."""
    return any(_registers(atom.members, names) if atom.type == "group" else
               bool(expansions(atom.text.lower(), names) & REGISTERS) or atom.text.lower() in names.aliases
               for atom in atoms)


def _may_be_register(operand: _Operand, names: Names) -> bool:
    """Whether an operand that is not known here may be a sensitive register."""
    return operand.kind is Kind.OPEN and _registers(operand.atoms, names)


def _resolved(line: _Line, names: Names) -> Sensitive | None:
    """A mov, push or pop that is sensitive if an operand, which is not known here, is a sensitive register."""
    if len(line.operands) != _RESOLVED.get(line.mnemonic):
        return None
    if not any(_may_be_register(operand, names) for operand in line.operands) or any(
            _BYTE.match(operand.name) for operand in line.operands):
        return None
    if line.prefixes or line.statement.times[1]:
        return line.left("an operand is written with a macro, behind a prefix: write the instruction out")
    args: list[tuple[Part, ...]] = [(Part("", operand.start, operand.end),) for operand in line.operands]
    sizes = [" ".join(operand.sizes) for operand in line.operands]
    while sizes and not sizes[-1]:
        sizes.pop()
    args += [(Part(size or " "),) for size in sizes]
    return line.sensitive(SPELLINGS[line.mnemonic].rows[0].key, RESOLVE,
                          _changes(line, f"{RESOLVE}_{line.mnemonic}", args))
