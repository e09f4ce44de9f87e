"""Parsing with the Lark grammars in ``grammars/``, and the statements that come of it.

Building a parser's tables takes longer than porting a file, so Lark keeps them in the user's cache
directory. Importing this module imports Lark: the doors do so only once a candidate is found.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput as UnexpectedInput

from porter.memo import directory

GRAMMARS = Path(__file__).parent / "grammars"


@cache
def parser(grammar: str, start: tuple[str, ...] = ("start",)) -> Lark:
    """The LALR parser of ``grammars/<grammar>.lark``, with these start rules."""
    tables: str | bool = False
    try:
        os.makedirs(directory(), exist_ok=True)
        if os.access(directory(), os.W_OK):
            tables = os.path.join(directory(), f"{grammar}.tables")
    except OSError:
        pass  # no home, or a read-only one: build the tables in memory
    return Lark.open(str(GRAMMARS / f"{grammar}.lark"), parser="lalr", start=list(start),
                     propagate_positions=grammar == "c_asm", cache=tables)


class Atom(NamedTuple):
    """One token of an operand, or a group (type ``group``, text its bracket) with its members."""

    type: str
    text: str
    start: int
    end: int
    members: tuple[Atom, ...] = ()


class Statement(NamedTuple):
    """One assembler statement; offsets are into the text that was parsed.

    `leads` are the prefixes written before the mnemonic; `head` is the mnemonic, directive or macro
    name, None where the statement is only labels or prefixes. `operands` are atom lists.
    """

    labels: tuple[Atom, ...]
    leads: tuple[Atom, ...]
    head: Atom | None
    operands: tuple[tuple[Atom, ...], ...]

    @property
    def start(self) -> int:
        """Offset of the first prefix or of the mnemonic."""
        return self.leads[0].start if self.leads else self.head.start if self.head else self.labels[0].start

    @property
    def end(self) -> int:
        """Offset past the last operand."""
        if self.operands and self.operands[-1]:
            return self.operands[-1][-1].end
        if self.head:
            return self.head.end
        return (self.leads or self.labels)[-1].end


def _atom(node: Token | Tree[Token]) -> Atom:
    if isinstance(node, Token):
        start = node.start_pos or 0
        return Atom(node.type, str(node), start, start + len(node))
    members = tuple(_atom(child) for child in node.children)
    return Atom("group", members[0].text, members[0].start, members[-1].end, members[1:-1])


def parse_statements(text: str, intel: bool = False) -> list[Statement]:
    """Parse assembler text, in Intel or else in AT&T syntax.

    Raises lark.UnexpectedInput where the text is not assembler source.
    """
    statements = []
    for node in parser("gas_intel" if intel else "gas_att").parse(text).children:
        if not isinstance(node, Tree):
            continue
        labels: list[Atom] = []
        leads: list[Atom] = []
        head: Atom | None = None
        operands: tuple[tuple[Atom, ...], ...] = ()
        for child in node.children:
            if isinstance(child, Tree):
                operands = tuple(tuple(_atom(atom) for atom in operand.children) for operand in child.children
                                 if isinstance(operand, Tree))
            elif child.type == "LABEL":
                labels.append(_atom(child))
            elif child.type == "NAME":
                head = _atom(child)
            else:
                leads.append(_atom(child))
        statements.append(Statement(tuple(labels), tuple(leads), head, operands))
    return statements
