"""Porting the inline assembly of one C source or header."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from porter.adjacent import combine
from porter.asm_state import States
from porter.asm_text import lines_with, names_i386
from porter.c_dialects import SYNTAXES, Evidence, choose, evidence, in_either, merged
from porter.c_template import Template, Unwritable, parse
from porter.errors import PortError
from porter.model import EITHER, INTEL, Sensitive, Site, Syntax
from porter.prefilter import candidates
from porter.reach import Reach
from porter.rewrite import Edit, Lines, Ported, apply
from porter.statements import Unparsable, decide

_KEYWORD = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'|\b(?P<asm>asm|__asm|__asm__)\b""", re.DOTALL)
_NESTING = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\\n])+'|[()]""", re.DOTALL)
_WORD = re.compile(r"[\w.$]+")


_IN_MACRO = "its operands are written in a C macro"
_WHICH = "it means different things in AT&T and in Intel syntax, and the tree has both: say which with --syntax"


_IN_BLOCK = "the compiler takes no macro in an asm block of Microsoft's style: build with `ring3 cc`"
_BLOCK = re.compile(r"\s*(?:\{(?P<block>[^{}]*)\}|(?P<line>[a-z]\w*[^\n;(}]*))")


class Survey(NamedTuple):
    """What the C sources of a tree say about each other's inline assembly."""

    used: frozenset[str]  # names of macros that templates are written with
    text: dict[str, str]  # string macros and their text
    evidence: Evidence = Evidence()  # of the dialects that they are compiled for


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


def shown(source: str) -> Survey:
    """What the inline assembly of one source shows; the text of macros is not looked for."""
    used: set[str] = set()
    found = Evidence()
    if "asm" in source:
        for start, end in _statements(source):
            template = parse(source, start, end, {})
            used |= template.names if template else set()
            found |= evidence([template] if template else [])
    return Survey(frozenset(name.lstrip("# ") for name in used), {}, found)


def string_macros(source: str, used: Collection[str]) -> list[tuple[str, str]]:
    """The macros of these names that one source defines as strings, with their text, '' where it is not known."""
    found = []
    for name, start, end in _string_macros(source, used):
        template = parse(source, start, end, {}, "template")
        found.append((name, template.text if template and "\2" not in template.text else ""))
    return found


def survey(sources: Collection[str]) -> Survey:
    """Look through all C sources of a tree for macros that inline assembly is written with."""
    seen = [shown(source) for source in sources]
    used = frozenset[str]().union(*(one.used for one in seen))
    found = [macro for source in sources for macro in string_macros(source, used)]
    shows = Evidence()
    for one in seen:
        shows |= one.evidence
    return Survey(used, {name: text for name, text in found if text}, shows)


class _Source:
    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.lines = name, text, Lines(text)
        self.edits: list[Edit] = []
        self.sites: list[Site] = []

    def _sensitive(self, template: Template, syntax: Syntax) -> list[Sensitive]:
        text = template.text
        found: list[Sensitive] = []
        states = States(text, syntax=syntax)
        lines = lines_with(text, candidates(text, states.only_att))
        for start, end in (piece for line in lines for piece in states.pieces(*line)):
            try:
                found += [item.shifted(start)
                          for item in decide(text[start:end], template.extended, states.at(start).syntax)]
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

    def _statements(self, template: Template, syntax: Syntax) -> list[Sensitive]:
        """The sensitive statements of a template as one dialect has it."""
        text = template.text
        states = States(text, syntax=syntax)
        reach = Reach(text, "", states, self._words_outside(template) if ".code16" in text else ())
        items = combine(self._sensitive(template, syntax), text, template.extended)
        # What is in a string macro is ported there.
        return [item.left(reach.obstacle(item.start)) if item.changes else item
                for item in items if template.is_written_here(item.start)]

    def _tell(self, template: Template, item: Sensitive) -> None:
        text = template.text[item.start:item.end].replace("\2", "...")
        self.sites.append(Site(self.name, *self.lines(template.source_offset(item.start)), text, item))

    def port(self, template: Template, syntaxes: Sequence[Syntax]) -> None:
        """Port one template, which is for one syntax or for both."""
        views = [(template.view(SYNTAXES.index(syntax)), syntax) for syntax in syntaxes]
        ported = [(view, self._statements(view, syntax)) for view, syntax in views]
        if len(views) > 1:
            # A string macro may be part of a template that takes no alternatives.
            both = template.has_alternatives or (template.extended and not template.fragment)
            (self._port_both if both else self._port_either)(template, ported)
            return
        for view, items in ported:
            for item in items:
                try:
                    self.edits += [edit for change in item.changes for edit in view.edits(change, self.text)]
                except Unwritable:
                    item = item.left(_IN_MACRO)
                self._tell(view, item)

    def _port_either(self, template: Template, ported: Sequence[tuple[Template, list[Sensitive]]]) -> None:
        """Port a template that the compiler may pass on as it is in both dialects."""
        items: dict[int, list[Sensitive]] = {}
        for _, some in ported:
            for item in some:
                items.setdefault(item.start, []).append(item)
        for _, pair in sorted(items.items()):
            item = pair[0]
            if any(one.changes for one in pair):
                try:
                    if len(pair) != len(ported):
                        raise Unwritable
                    self.edits += in_either([(template, one) for one in pair], self.text)
                    item = item._replace(macro=EITHER)
                except Unwritable:
                    item = item.left(_WHICH)
            self._tell(template, item)

    def tell_blocks(self) -> None:
        """Report what is sensitive in ``__asm { mov cr0, eax }``, which Clang reads in Intel syntax."""
        for keyword in _KEYWORD.finditer(self.text):
            block = _BLOCK.match(self.text, keyword.end()) if keyword["asm"] else None
            if block is None:
                continue
            start, end = block.span(block.lastgroup or 0)
            for first, last in lines_with(self.text[start:end], candidates(self.text[start:end], only_att=False)):
                with contextlib.suppress(Unparsable):
                    for item in decide(self.text[start + first:start + last], syntax=INTEL):
                        item = item.shifted(start + first).left(_IN_BLOCK)
                        written = self.text[item.start:item.end]
                        self.sites.append(Site(self.name, *self.lines(item.start), written, item))

    def _port_both(self, template: Template, ported: Sequence[tuple[Template, list[Sensitive]]]) -> None:
        try:
            self.edits += merged(template, [(view, [item for item in items if item.changes]) for view, items in ported],
                                 self.text)
        except Unwritable:
            ported = [(view, [item.left(_IN_MACRO) if item.changes else item for item in items])
                      for view, items in ported]
        told: set[int] = set()
        for view, items in ported:
            for item in items:
                place = view.place(item.start, item.end)[0]
                if place not in told:  # what both dialects share is one statement
                    told.add(place)
                    self._tell(view, item)


def port_c(text: str, name: str, known: Survey | None = None, syntaxes: Collection[Syntax] = ()) -> Ported:
    """Port the inline assembly in C source.

    `known` is what the other files of the tree say; without it, each file stands alone. `syntaxes` are those
    that templates are for which do in either; without any, the file or else the tree has to show it.
    Raises PortError for sensitive statements that do not parse.
    """
    known = survey([text]) if known is None else known
    if "asm" not in text and not known.used:
        return Ported(text)
    source = _Source(name, text)
    macros: Mapping[str, str] = known.text
    found = [parse(text, start, end, macros) for start, end in _statements(text)]
    found += [parse(text, start, end, macros, "template") for _, start, end in _string_macros(text, known.used)]
    templates = [template for template in found if template]
    here = evidence(templates)
    for template in templates:
        source.port(template, choose(template, Evidence(frozenset(syntaxes)), here, known.evidence))
    source.tell_blocks()
    return Ported(apply(text, source.edits) if source.edits else text, tuple(source.sites))
