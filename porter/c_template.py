"""The text of an inline assembly template, and where each of its characters stands in the C source.

String literals are joined and their escapes decoded, as the compiler does it. A macro whose text is not
known becomes one OPAQUE character. Alternatives ``{att|intel}`` are kept; a *view* is the template as the
compiler takes it for one dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lark import Token, Tree

from porter.model import Change, Part
from porter.rewrite import Edit
from porter.syntax import UnexpectedInput, parser

OPAQUE = "\2"
_LITERAL = re.compile(r"\\(?:\r?\n|x[0-9a-fA-F]+|[0-7]{1,3}|.)|.", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_ALTERNATIVES = re.compile(r"\{((?:[^{}%]|%.)*)\}", re.DOTALL)
_NEXT = re.compile(r"%.|[{]", re.DOTALL)
_BAR = re.compile(r"((?:[^|%]|%.)*)\|?", re.DOTALL)


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


class _Group(NamedTuple):
    """Alternatives within braces: the bounds of all, and of each."""

    start: int
    end: int
    each: tuple[tuple[int, int], ...]


def _groups(text: str) -> list[_Group]:
    """The alternatives of a template. A brace behind % is one of the assembler's."""
    found: list[_Group] = []
    position = 0
    while match := _NEXT.search(text, position):
        position = match.end()
        whole = _ALTERNATIVES.match(text, match.start()) if match[0] == "{" else None
        if whole:
            each: list[tuple[int, int]] = []
            start = whole.start(1)
            while start <= whole.end(1):
                bar = _BAR.match(text, start, whole.end(1))
                assert bar
                each.append(bar.span(1))
                start = bar.end(1) + 1
            found.append(_Group(*whole.span(), tuple(each)))
            position = whole.end()
    return found


class _Char(NamedTuple):
    """Where a character of the template is written. `start` is -1 where a macro elsewhere holds it."""

    start: int
    end: int
    literal: bool


class Unwritable(Exception):
    """A change cannot be made in this source: what it touches is written in a macro elsewhere."""


class Template:
    """A template: `text` as it is written, `extended` where it has operands."""

    def __init__(self, text: str, chars: Sequence[_Char], extended: bool, names: frozenset[str], *, fragment: bool,
                 places: Sequence[int] = (), groups: Sequence[_Group] | None = None) -> None:
        self._chars = chars
        self.text = text
        self.extended = extended
        self.fragment = fragment  # part of a template: it need not be whole statements
        self.names = names  # the macros that it is written with
        self._groups = (_groups(text) if extended else []) if groups is None else groups
        self._places = places or range(len(text))  # in a view: where each character is in the whole template

    @property
    def has_alternatives(self) -> bool:
        return bool(self._groups)

    @property
    def shows_both(self) -> bool:
        """Whether there is something for each dialect. One thing in braces may be another processor's list."""
        return any(len(group.each) > 1 for group in self._groups)

    def view(self, dialect: int) -> Template:
        """The template as the compiler takes it, with alternative number `dialect` of each that there are."""
        kept: list[int] = []
        position = 0
        for group in self._groups:
            kept += range(position, group.start)
            if dialect < len(group.each):
                kept += range(*group.each[dialect])
            position = group.end
        kept += range(position, len(self.text))
        return Template("".join(self.text[i] for i in kept), [self._chars[i] for i in kept], self.extended,
                        self.names, fragment=self.fragment, places=kept, groups=self._groups)

    def place(self, start: int, end: int) -> tuple[int, int, bool]:
        """The bounds, in the whole template, of a stretch of a view, and whether it is in one alternative.

        A stretch that is not takes in all alternatives that it touches.
        """
        first, last = self._places[start], self._places[end - 1] + 1
        for group in self._groups:
            if any(begin <= first and last <= stop for begin, stop in group.each):
                return first, last, True
            if first < group.end and group.start < last:
                first, last = min(first, group.start), max(last, group.end)
        return first, last, False

    def alternatives_within(self, start: int, end: int) -> bool:
        """Whether there are any between two offsets of the whole template."""
        return any(start <= group.start < end for group in self._groups)

    def is_written_here(self, offset: int) -> bool:
        return self._chars[offset].start >= 0

    def source_offset(self, offset: int) -> int:
        """Offset into the C source of a character of the template."""
        return self._chars[offset].start if offset < len(self._chars) else self._chars[-1].end

    def source_bounds(self, start: int, end: int) -> tuple[int, int]:
        """Bounds in the C source of a stretch of the template. Raises Unwritable where they are in no string here."""
        first, last = self._chars[start], self._chars[end - 1]
        if not (first.literal and last.literal) or first.start < 0 or last.start < 0:
            raise Unwritable
        return first.start, last.end

    def _verbatim(self, start: int, end: int, source: str) -> str:
        """The source of a stretch of a view, without what is for other dialects, as text within braces."""
        if any(char.start < 0 for char in self._chars[start:end]):
            raise Unwritable
        out: list[str] = []
        for i in range(start, end):
            char = self._chars[i]
            if i > start and self._places[i] == self._places[i - 1] + 1:
                out.append(source[self._chars[i - 1].end:char.start])
            if i > start and char == self._chars[i - 1]:
                continue  # one escape, or one macro, that is several characters
            bare = self.text[i] == "|" and (i == 0 or self.text[i - 1] != "%")
            out.append(f"%{source[char.start:char.end]}" if bare else source[char.start:char.end])
        return "".join(out)

    def rewritten(self, start: int, end: int, changes: Iterable[Change], source: str) -> str:
        """The C source, with changes made, of what a view has of a stretch of the whole template.

        Raises Unwritable.
        """
        inside = [i for i, place in enumerate(self._places) if start <= place < end]
        position, stop = inside[0], inside[-1] + 1
        out: list[str] = []
        for change in changes:
            out.append(self._verbatim(position, change.start, source))
            out += [part.text.replace("\\", "\\\\").replace('"', '\\"') if part.text or part.start == part.end
                    else self._verbatim(part.start, part.end, source) for part in change.parts]
            position = change.end
        return "".join([*out, self._verbatim(position, stop, source)])

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
