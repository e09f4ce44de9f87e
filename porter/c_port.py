"""Porting the inline assembly of one C source or header."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from porter.adjacent import combine
from porter.asm_state import States
from porter.asm_text import lines_with, names_i386
from porter.c_template import Template, Unwritable, parse
from porter.errors import PortError
from porter.model import Sensitive, Site
from porter.prefilter import candidates
from porter.reach import Reach
from porter.rewrite import Edit, Lines, Ported, apply
from porter.statements import Unparsable, decide

_KEYWORD = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|\b(?P<asm>asm|__asm|__asm__)\b""", re.DOTALL)
_NESTING = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\\n])+'|[()]""", re.DOTALL)
_WORD = re.compile(r"[\w.$]+")


class Survey(NamedTuple):
    """What the C sources of a tree say about each other's inline assembly."""

    used: frozenset[str]  # names of macros that templates are written with
    text: dict[str, str]  # string macros and their text


def _statements(source: str) -> Iterator[tuple[int, int]]:
    """The bounds of each asm statement, from the keyword to past the closing parenthesis."""
    for keyword in _KEYWORD.finditer(source):
        if keyword["asm"] is None:
            continue
        depth = 0
        for token in _NESTING.finditer(source, keyword.end()):
            if token[0] == "(":
                depth += 1
            elif token[0] == ")":
                depth -= 1
                if depth <= 0:
                    if depth == 0:
                        yield keyword.start(), token.end()
                    break


def _string_macros(source: str, names: Collection[str]) -> Iterator[tuple[str, int, int]]:
    """The definitions of macros of these names that have a string in them: name and bounds of the body."""
    if not names or "define" not in source:
        return
    pattern = rf"^[ \t]*#[ \t]*define[ \t]+({'|'.join(names)})\b(?:\([^)\n]*\))?((?:\\\r?\n|[^\n])*)"
    for match in re.finditer(pattern, source, re.MULTILINE):
        if '"' in match[2]:
            yield match[1], match.start(2), match.end(2)


def survey(sources: Collection[str]) -> Survey:
    """Look through all C sources of a tree for macros that inline assembly is written with."""
    used: set[str] = set()
    text: dict[str, str] = {}
    for source in sources:
        if "asm" in source:
            for start, end in _statements(source):
                template = parse(source, start, end, {})
                used |= template.names if template else set()
    used = {name.lstrip("# ") for name in used}
    for source in sources:
        for name, start, end in _string_macros(source, used):
            template = parse(source, start, end, {}, "template")
            if template and "\2" not in template.text:
                text[name] = template.text
    return Survey(frozenset(used), text)


class _Source:
    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.lines = name, text, Lines(text)
        self.edits: list[Edit] = []
        self.sites: list[Site] = []

    def _sensitive(self, template: Template) -> list[Sensitive]:
        text = template.text
        found: list[Sensitive] = []
        for start, end in lines_with(text, candidates(text)):
            try:
                found += [item.shifted(start) for item in decide(text[start:end], template.extended)]
            except Unparsable as error:
                if template.fragment or not names_i386(text):
                    continue  # an operand, or another processor's
                line, column = self.lines(template.source_offset(start + error.position))
                raise PortError(f"{self.name}:{line}:{column}: cannot parse `{text[start:end].strip()}`: correct the "
                                f"statement, or keep the file out with --exclude") from None
        return found

    def _words_outside(self, template: Template) -> frozenset[str]:
        """What the source names, but for this template: C can refer to the labels of its own file."""
        first, last = template.source_offset(0), template.source_offset(len(template.text))
        return frozenset(_WORD.findall(self.text[:first] + self.text[last:]))

    def port(self, template: Template) -> None:
        """Port one template."""
        text = template.text
        reach = Reach(text, "", States(text), self._words_outside(template) if ".code16" in text else ())
        for item in combine(self._sensitive(template), text, template.extended):
            if not template.is_written_here(item.start):
                continue  # it is in a string macro, and ported there
            item = item.left(reach.obstacle(item.start)) if item.changes else item
            try:
                mine = [edit for change in item.changes for edit in template.edits(change, self.text)]
            except Unwritable:
                mine = []
                item = item.left("its operands are written in a C macro")
            self.edits += mine
            line, column = self.lines(template.source_offset(item.start))
            self.sites.append(Site(self.name, line, column, text[item.start:item.end].replace("\2", "..."), item))


def port_c(text: str, name: str, known: Survey | None = None) -> Ported:
    """Port the inline assembly in C source.

    `known` is what the other files of the tree say; without it, each file stands alone.
    Raises PortError for Intel syntax and for sensitive statements that do not parse.
    """
    known = survey([text]) if known is None else known
    if "asm" not in text and not known.used:
        return Ported(text)
    source = _Source(name, text)
    macros: Mapping[str, str] = known.text
    for start, end in _statements(text):
        template = parse(text, start, end, macros)
        if template:
            source.port(template)
    for _, start, end in _string_macros(text, known.used):
        template = parse(text, start, end, macros, "template")
        if template:
            source.port(template)
    return Ported(apply(text, source.edits) if source.edits else text, tuple(source.sites))
