"""NASM source at statement level: a line becomes a statement, as ``syntax`` does it for GAS.

Lines come without comment and joined where a backslash continues them: see ``nasm_text``.
"""

from __future__ import annotations

from typing import NamedTuple

from lark import Token, Tree

from porter.syntax import Atom, parser


class NasmStatement(NamedTuple):
    """A line of NASM source; offsets are into the text that was parsed.

    `times` spans ``times`` and its count, (0, 0) without. `head` is the first word that is none of labels with a
    colon, prefixes and ``times``. `operands` are atom lists; `leads` are prefixes.
    """

    labels: tuple[Atom, ...]
    times: tuple[int, int]
    leads: tuple[Atom, ...]
    head: Atom | None
    operands: tuple[tuple[Atom, ...], ...]

    @property
    def start(self) -> int:
        """Offset of the first prefix or of the head."""
        return self.leads[0].start if self.leads else self.head.start if self.head else self.end

    @property
    def end(self) -> int:
        """Offset past the last operand."""
        ends = [atom.end for atoms in self.operands for atom in atoms[-1:]]
        last = self.head or (self.leads or self.labels)[-1:]
        return max([*ends, *([last.end] if isinstance(last, Atom) else [atom.end for atom in last]), self.times[1]])


def _atom(node: Token | Tree[Token]) -> Atom:
    if isinstance(node, Token):
        start = node.start_pos or 0
        return Atom(node.type, str(node), start, start + len(node))
    members = tuple(_atom(child) for child in node.children)
    return Atom("group", members[0].text, members[0].start, members[-1].end, members[1:-1])


def _end(node: Token | Tree[Token]) -> int:
    tokens = [node] if isinstance(node, Token) else node.scan_values(lambda _: True)
    return max(token.end_pos or 0 for token in tokens)


def parse_line(text: str, base: int = 0) -> NasmStatement:
    """Parse the line that begins at `base` of `text`. Raises lark.UnexpectedInput where it is no NASM statement."""
    labels: list[Atom] = []
    leads: list[Atom] = []
    head: Atom | None = None
    times = (0, 0)
    operands: tuple[tuple[Atom, ...], ...] = ()
    for child in parser("nasm").parse(" " * base + text[base:]).children:
        if isinstance(child, Tree) and child.data == "times":
            start = child.children[0]
            assert isinstance(start, Token)
            times = (times[0] if times[1] else start.start_pos or 0, _end(child))
        elif isinstance(child, Tree):
            operands = tuple(tuple(_atom(atom) for atom in operand.children) for operand in child.children
                             if isinstance(operand, Tree))
        elif child.type == "LABEL":
            labels.append(_atom(child))
        elif child.type == "NAME":
            head = _atom(child)
        else:
            leads.append(_atom(child))
    return NasmStatement(tuple(labels), times, tuple(leads), head, operands)
