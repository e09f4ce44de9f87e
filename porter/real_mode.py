"""Which code of an assembler text cannot run in a guest, because a processor in real mode comes first.

Guests enter at a 32-bit entry point: there is no real mode. So 16-bit code cannot run, and neither can the
32-bit code that only it leads to: the second half of a boot sector, or of the start-up code of further
processors. Porting that would help nobody, and boot sectors have no room for it.

A text is cut into blocks (code or data behind a label, or behind an unconditional jump), and blocks refer to
blocks by label or by running on into them. In doubt, code runs: whatever is exported, and whatever 16-bit code
does not lead to, is taken for a way in. Code reached by arithmetic on a label is taken for the label's own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from porter.asm_state import States

if TYPE_CHECKING:
    from porter.syntax import Atom, Statement

_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif|define)\b")
_WORD = re.compile(r"[\w.$]+")
_LOCAL_LABEL = re.compile(r"(\d+)([fb])\Z")
_MACRO_PREFIX = re.compile("r3i?_")
_OWN_INCLUDES = ("ring3.inc", "ring3.nasm")  # hold macros of the port, and no reference to a label

# Nothing runs on behind these, nor behind the macros that the porter puts in their place.
_ENDS = frozenset({
    "jmp", "jmpl", "jmpw", "ljmp", "ljmpl", "ljmpw", "ljmp_mem", "ret", "retl", "retw", "lret", "lretl", "lretw",
    "lret_n", "retf", "retfl", "retfw", "retfd", "iret", "iretl", "iretw", "iretd", "sysexit", "sysret", "ud2"})
_SECTIONS = frozenset({".text", ".data", ".bss", ".section", ".subsection", ".pushsection", ".popsection", ".previous"})
_EXPORTS = frozenset({".globl", ".global", ".weak"})
_ASSIGNMENTS = frozenset({".set", ".equ", ".equiv", ".eqv"})
_BODIES = frozenset({".macro", ".irp", ".irpc", ".rept"})
_BODY_ENDS = frozenset({".endm", ".endr"})
_NO_CONTENT = re.compile(  # neither bytes that run nor references that lead anywhere
    r"\.(?:type|size|file|loc|ident|align|p2align[wl]?|balign[wl]?|org|code\w+|cfi_\w+|local|hidden|internal|protected"
    r"|arch|att_syntax|intel_syntax|(?:no)?altmacro|purgem|err\w*|warning|print|end)\Z")


@dataclass
class _Block:
    """A run of statements that is entered at its top. `runs_from` are the blocks that run on into it."""

    bits: str
    labels: frozenset[str]
    runs_from: frozenset[int]
    names: set[str] = field(default_factory=set)
    has_code: bool = False

    @property
    def is_16_bit(self) -> bool:
        return self.bits == "16" and self.has_code


@dataclass
class _Conditional:
    """An open conditional: what runs on into each of its branches, and out of those that have ended."""

    before: frozenset[int]
    ends: set[int]


@dataclass
class _Section:
    """Where the text has come to in one section."""

    block: int = -1  # -1: the next statement begins a block
    runs_on: frozenset[int] = frozenset()


class Line(NamedTuple):
    """One statement of the text, or a line that no grammar reads (`statement` None)."""

    start: int
    text: str
    statement: Statement | None


def gas_lines(clean: str, source: str, states: States) -> Iterator[Line]:
    """The statements of a text. A line that does not parse, or belongs to the C preprocessor, is one of them."""
    from porter.syntax import UnexpectedInput, parse_statements

    start = 0
    for text in clean.split("\n"):
        written = source[start:start + len(text)]
        if written.lstrip().startswith("#"):
            yield Line(start, written, None)
        elif text.strip():
            intel = states.at(start).syntax.intel
            try:
                yield from (Line(start + found.start, text, found) for found in parse_statements(text, intel))
            except UnexpectedInput:
                yield Line(start, text, None)
        start += len(text) + 1


def _names(atoms: Iterable[Atom]) -> Iterator[str]:
    """The symbols in operands."""
    for atom in atoms:
        if atom.type == "group":
            yield from _names(atom.members)
        elif atom.type in ("NAME", "NUMBER"):
            yield atom.text.lstrip("$").partition("@")[0]
        elif atom.type == "STRING":
            yield atom.text.strip('"')


class _Blocks:
    """The blocks of a text, and where each begins."""

    def __init__(self, lines: Iterable[Line], states: States) -> None:
        self.blocks: list[_Block] = []
        self.starts: list[int] = []  # offsets, ascending, with the block (-1: none) that begins at each
        self.owners: list[int] = []
        self.known_ways: set[str] = set()  # names that something other than a block refers to
        self.exported: set[str] = set()
        self.opaque = False  # text that is not here may refer to anything
        self._states = states
        self._sections: dict[str, _Section] = {}
        self._section, self._previous = ".text", ".text"
        self._stack: list[tuple[str, str]] = []
        self._conditionals: list[_Conditional] = []
        self._bodies: list[str] = []  # names of the open macro definitions, '' for a loop
        self._exporters: set[str] = set()  # macros that define or export what their arguments name
        self._labels: set[str] = set()
        self._numbered: dict[str, int] = {}
        for line in lines:
            self._take(line)

    def _here(self) -> _Section:
        return self._sections.setdefault(self._section, _Section())

    def _has_code(self) -> bool:
        return self._here().block >= 0 and self.blocks[self._here().block].has_code

    def _take(self, line: Line) -> None:
        if line.statement is None:
            self._preprocessor(line.text)
            return
        statement = line.statement
        operands = [list(atoms) for atoms in statement.operands]
        head = statement.head.text if statement.head else ""
        names = list(_names(atom for atoms in operands for atom in atoms))
        if head in _BODY_ENDS and self._bodies:
            self._bodies.pop()
            return
        if self._bodies:
            if head in _EXPORTS or any("\\" in label.text for label in statement.labels):
                self._exporters.update(self._bodies)
            self.known_ways.update(names)
            return
        for label in statement.labels:
            self._label(label.text.rstrip(": \t").strip('"'))
        if not head and not statement.leads:
            return
        if head.startswith("."):
            self._directive(line.start, head, names)
        elif operands and operands[0] and operands[0][0].text == "=":
            self._assign(head, names)
        else:
            self._content(line.start, head, names, operands)

    def _label(self, name: str) -> None:
        if name.isdigit():
            self._numbered[name] = self._numbered.get(name, 0) + 1
            name = f"{name} {self._numbered[name]}"
        self._labels.add(name)
        self._here().block = -1

    def _resolved(self, name: str) -> str:
        """A reference like `1f`, by the number of its definition."""
        match = _LOCAL_LABEL.match(name)
        if not match:
            return name
        return f"{match[1]} {self._numbered.get(match[1], 0) + (match[2] == 'f')}"

    def _preprocessor(self, text: str) -> None:
        directive = _DIRECTIVE.match(text)
        if directive and directive[1] != "define":
            self._conditional(directive[1])
        elif directive or not text.lstrip().startswith("#"):
            self.known_ways.update(_WORD.findall(text))

    def _conditional(self, word: str) -> None:
        here = self._here()
        if word.startswith("if"):
            self._conditionals.append(_Conditional(here.runs_on, set(here.runs_on)))
        elif self._conditionals:
            innermost = self._conditionals[-1]
            innermost.ends |= here.runs_on
            here.runs_on = innermost.before
            if word.startswith("end"):
                here.runs_on = frozenset(innermost.ends)
                self._conditionals.pop()
        here.block = -1

    def _directive(self, start: int, head: str, names: list[str]) -> None:
        if head in _SECTIONS:
            self._enter(head, names)
        elif head in _EXPORTS:
            self.exported.update(names)
        elif head.startswith((".if", ".else")) or head == ".endif":
            self.known_ways.update(names)
            self._conditional(head[1:])
        elif head in _BODIES:
            self._bodies.append(names[0] if head == ".macro" and names else "")
            self._here().block = -1
            self._begin(start, -1)
        elif head == ".include":
            self.opaque = self.opaque or not any(name.endswith(_OWN_INCLUDES) for name in names)
        elif head in _ASSIGNMENTS:
            self._assign(names[0] if names else "", names[1:])
        elif not _NO_CONTENT.match(head):
            self._statement(start, names)

    def _enter(self, directive: str, names: list[str]) -> None:
        now = self._section, self._previous
        if directive == ".popsection":
            self._section, self._previous = self._stack.pop() if self._stack else now
        elif directive == ".previous":
            self._section, self._previous = self._previous, self._section
        else:
            if directive == ".pushsection":
                self._stack.append(now)
            self._previous = self._section
            name = directive if directive in (".text", ".data", ".bss") else "".join(names[:1])
            self._section = f"{self._section} {name}" if directive == ".subsection" else name
        self._here().block = -1

    def _assign(self, name: str, names: list[str]) -> None:
        """A symbol that stands for others: as a block that nothing runs into."""
        self.blocks.append(_Block("", frozenset({name}), frozenset(),
                                  {self._resolved(other) for other in names}))

    def _content(self, start: int, head: str, names: list[str], operands: list[list[Atom]]) -> None:
        group = operands[0][0].members if len(operands) == 1 and len(operands[0]) == 1 else ()
        if (len(group) == 1 and group[0].type == "NAME") or head in self._exporters:
            # As in ENTRY(name): the macro defines and exports a label.
            self._here().block = -1
            self._labels.update(names)
            self.exported.update(names)
            names = []
        if not self._has_code():
            self._here().block = -1  # code behind data with a name is no part of that data
        block = self._statement(start, names)
        # Nothing says what a C macro holds.
        block.has_code = block.has_code or not head or head != head.upper()
        if _MACRO_PREFIX.sub("", head.lower()) in _ENDS:
            self._here().block, self._here().runs_on = -1, frozenset()

    def _statement(self, start: int, names: list[str]) -> _Block:
        here, bits = self._here(), self._states.at(start).bits[:2]
        if here.block < 0 or self.blocks[here.block].bits != bits:
            here.block = len(self.blocks)
            self.blocks.append(_Block(bits, frozenset(self._labels), here.runs_on))
            self._labels.clear()
            here.runs_on = frozenset({here.block})
        if not self.owners or self.owners[-1] != here.block:
            self._begin(start, here.block)
        block = self.blocks[here.block]
        block.names.update(map(self._resolved, names))
        return block

    def _begin(self, start: int, owner: int) -> None:
        self.starts.append(start)
        self.owners.append(owner)


def _reached(starts: Collection[int], ways: Mapping[int, set[int]], barred: Collection[int]) -> set[int]:
    """All blocks that the ways lead to from the starts, without passing through one that is barred."""
    pending, seen = list(starts), set(starts)
    while pending:
        for block in ways[pending.pop()]:
            if block not in seen and block not in barred:
                seen.add(block)
                pending.append(block)
    return seen


def _unreached(found: _Blocks, mentioned: Collection[str]) -> set[int]:
    """The 32-bit blocks that only 16-bit code leads to."""
    blocks = found.blocks
    if found.opaque:
        return set()
    by_label = {label: index for index, block in enumerate(blocks) for label in block.labels}
    ways = {index: {by_label[name] for name in block.names if name in by_label} for index, block in enumerate(blocks)}
    runs_into: dict[int, set[int]] = {index: set(targets) for index, targets in ways.items()}
    runs_as_code: dict[int, set[int]] = {index: set(targets) for index, targets in ways.items()}
    for index, block in enumerate(blocks):
        for before in block.runs_from:
            runs_into[before].add(index)
            # Nothing runs into data that has a name, nor into code of another size without a jump.
            if block.bits == blocks[before].bits and (block.has_code or not block.labels):
                runs_as_code[before].add(index)
    real_mode = {index for index, block in enumerate(blocks) if block.is_16_bit}
    led_to = _reached(real_mode, runs_as_code, ())
    outside = found.exported | found.known_ways | set(mentioned)
    entries = {index for index, block in enumerate(blocks)
               if index not in real_mode and (index not in led_to or not outside.isdisjoint(block.labels))}
    running = _reached(entries, runs_into, real_mode)
    return {index for index in led_to - running if blocks[index].bits == "32"}


class AfterRealMode:
    """The 32-bit code of a text that only 16-bit code leads to.

    `lines` are the text's statements in GAS's words; `states` and `mentioned` are those of `porter.reach.Reach`.
    """

    def __init__(self, lines: Iterable[Line], states: States, mentioned: Collection[str]) -> None:
        self._found = _Blocks(lines, states)
        self._blocks = _unreached(self._found, mentioned)

    def __contains__(self, offset: int) -> bool:
        index = bisect_right(self._found.starts, offset) - 1
        return index >= 0 and self._found.owners[index] in self._blocks
