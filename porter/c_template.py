"""The text of an inline assembly template, and where each of its characters stands in the C source.

String literals are joined and their escapes decoded, as the compiler does it. A macro whose text is not
known becomes one OPAQUE character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lark import Token, Tree

from porter.model import Change, Part
from porter.rewrite import Edit
from porter.syntax import UnexpectedInput, parser

OPAQUE = "\2"
_LITERAL = re.compile(r"\\(?:\r?\n|x[0-9a-fA-F]+|[0-7]{1,3}|.)|.", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_DIALECTS = re.compile(r"(?<!%)\{([^{}|]*)\|[^{}]*\}")


def _decode(escape: str) -> str:
    if escape[0] != "\\":
        return escape
    if escape[1] in "\r\n":
        return ""
    if escape[1] == "x" and len(escape) > 2:
        return chr(int(escape[2:], 16) & 0xFF)
    if escape[1].isdigit():
        return chr(int(escape[1:], 8) & 0xFF)
    return _SIMPLE.get(escape[1], escape[1])


class _Char(NamedTuple):
    """Where a character of the template is written. `start` is -1 where a macro elsewhere holds it."""

    start: int
    end: int
    literal: bool


class Unwritable(Exception):
    """A change cannot be made in this source: what it touches is written in a macro elsewhere."""


class Template:
    """A template: `text` as the assembler will see it, `extended` where it has operands."""

    def __init__(self, text: str, chars: list[_Char], extended: bool, names: frozenset[str], *,
                 fragment: bool) -> None:
        self._chars = chars
        self.extended = extended
        self.fragment = fragment  # part of a template: it need not be whole statements
        self.names = names  # the macros that it is written with
        # Of the dialect alternatives {att|intel} only the first is assembled.
        self.text = _DIALECTS.sub(lambda m: f" {m[1]}{' ' * (len(m[0]) - len(m[1]) - 1)}", text) if extended else text

    def is_written_here(self, offset: int) -> bool:
        return self._chars[offset].start >= 0

    def source_offset(self, offset: int) -> int:
        """Offset into the C source of a character of the template."""
        return self._chars[offset].start if offset < len(self._chars) else self._chars[-1].end

    def _runs(self, start: int, end: int) -> list[tuple[int, int]]:
        """The stretches of source that hold a stretch of the template, each within one string."""
        runs: list[tuple[int, int]] = []
        for char in self._chars[start:end]:
            if not char.literal:
                raise Unwritable
            if runs and runs[-1][1] == char.start:
                runs[-1] = (runs[-1][0], char.end)
            else:
                runs.append((char.start, char.end))
        return runs

    def _part(self, part: Part, source: str) -> str:
        if part.text or part.start == part.end:
            return part.text.replace("\\", "\\\\").replace('"', '\\"')
        first, last = self._chars[part.start], self._chars[part.end - 1]
        if not (first.literal and last.literal) or any(c.start < 0 for c in self._chars[part.start:part.end]):
            raise Unwritable
        return source[first.start:last.end]

    def edits(self, change: Change, source: str) -> Iterable[Edit]:
        """The edits to the C source that make a change to the template. Raises Unwritable."""
        text = "".join(self._part(part, source) for part in change.parts)
        if not text:
            return [Edit(start, end, "") for start, end in self._runs(change.start, change.end)]
        first, last = self._chars[change.start], self._chars[change.end - 1]
        if not (first.literal and last.literal):
            raise Unwritable
        kept = {i for part in change.parts if not part.text for i in range(part.start, part.end)}
        if any(not char.literal for i, char in enumerate(self._chars[change.start:change.end], change.start)
               if i not in kept):
            raise Unwritable
        return [Edit(first.start, last.end, text)]


def parse(source: str, start: int, end: int, macros: Mapping[str, str], rule: str = "statement") -> Template | None:
    """The template in source[start:end], an asm statement, or with `rule` "template" a template alone.

    `macros` are the string macros whose text is known. None: the text is neither.
    """
    try:
        tree = parser("c_asm", ("statement", "template")).parse(source[start:end], start=rule)
    except UnexpectedInput:
        return None
    template = tree if tree.data == "template" else next(tree.find_data("template"))
    extended = rule == "template" or any(tree.find_data("section"))
    chars: list[_Char] = []
    text: list[str] = []
    names: set[str] = set()
    for piece in template.children:
        token = piece if isinstance(piece, Token) else next(t for t in piece.scan_values(lambda _: True))
        at = start + (token.start_pos or 0)
        if token.type == "STRING":
            inside = token.index('"') + 1
            for match in _LITERAL.finditer(token, inside, len(token) - 1):
                decoded = _decode(match[0])
                text.append(decoded)
                chars += [_Char(at + match.start(), at + match.end(), True)] * len(decoded)
            continue
        names.add(str(token))
        known = macros.get(str(token)) if isinstance(piece, Tree) and len(piece.children) == 1 else None
        text.append(OPAQUE if known is None else known)
        stop = start + (piece.meta.end_pos if isinstance(piece, Tree) else token.end_pos or 0)
        chars += [_Char(at, stop, False)] if known is None else [_Char(-1, -1, False)] * len(known)
    if rule == "template" and "%" in "".join(text) and "%%" not in "".join(text):
        extended = False
    return Template("".join(text), chars, extended, frozenset(names), fragment=rule == "template")
