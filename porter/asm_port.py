"""Porting the text of one assembly file.

Two kinds of text come here: what is handed to the assembler (``port_assembly``) and ``.S`` source that
the C preprocessor has yet to see (``port_source``). In both, only the lines that the prefilter points
at are parsed, and only the sensitive statements in them are touched.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from porter import prefilter
from porter.adjacent import combine
from porter.errors import PortError
from porter.model import RESOLVE, Sensitive, Site
from porter.rewrite import Edit, Lines, Ported, apply
from porter.statements import Unparsable, decide

_QUOTED = r"""(?P<quoted>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^\n])'?)"""
_COMMENT = r"""(?P<comment>/\*.*?\*/|//[^\n]*)"""
_LINE_COMMENT = r"(?P<line_comment>\#[^\n]*)"
_LOGICAL_LINE = r"(?:/\*.*?\*/|\\\r?\n|[^\n])*"
_CPP = rf"^[ \t]*\#[ \t]*(?:(?P<define>define[ \t]+\w+(?P<params>\([^)\n]*\))?)|[a-z]+\b){_LOGICAL_LINE}"

_ASSEMBLER_TOKEN = re.compile(f"{_QUOTED}|{_COMMENT}|{_LINE_COMMENT}", re.DOTALL)
_SOURCE_TOKEN = re.compile(f"(?P<cpp>{_CPP})|{_QUOTED}|{_COMMENT}|{_LINE_COMMENT}", re.DOTALL | re.MULTILINE)
_I386 = re.compile(r"%(?:e?[abcd]x|[abcd][hl]|e?[sd]i|e?[sb]p|[c-gs]s|cr\d)\b|\bint[ \t]+\$", re.IGNORECASE)
_PASSED = re.compile(r"^(?![^\n]*\b(?:mov|push|pop)[wlb]?[ \t])[^\n]*(?<![\w%])%{0,2}(?:[c-gs]s|cr\d|d[rb]\d)\b(?!:)",
                     re.MULTILINE | re.IGNORECASE)
# A line that is assembler's and not C's: it names a register or an immediate, or is a bare mnemonic.
_ASSEMBLER_LINE = re.compile(r"[^\n]*(?:%%?[a-z]|\$)|(?:[^\n;]*;)*[ \t]*[a-z]+[ \t]*(?:;|\r?$)", re.MULTILINE)
_DEFINE_TOKEN = re.compile(f"{_QUOTED}|{_COMMENT}", re.DOTALL)


_FOREIGN = "the file names no i386 register: it may be for another processor"


class State(NamedTuple):
    """The assembler's state at one place of a text."""

    bits: str = "32"
    intel: bool = False
    alternate_macros: bool = False


class States:
    """The assembler's state along a text."""

    def __init__(self, text: str) -> None:
        self._positions: list[int] = []
        self._states = [State()]
        for match in prefilter.MODE.finditer("\n" + text.lower()):
            state, word = self._states[-1], match[1]
            if word.startswith("code"):
                state = state._replace(bits=word[4:6])
            elif word.endswith("_syntax"):
                state = state._replace(intel=word.startswith("intel"))
            else:
                state = state._replace(alternate_macros=word == "altmacro")
            self._positions.append(match.end() - 1)
            self._states.append(state)

    def at(self, offset: int) -> State:
        return self._states[bisect_right(self._positions, offset)]


def names_i386(text: str) -> bool:
    """Whether assembler text names an i386 register or interrupt: other processors have a `hlt` too."""
    return _I386.search(text) is not None


def blank(text: str) -> str:
    """`text` as blanks, with its line feeds."""
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """Assembler text with each comment as blanks: same length, same lines."""
    return _ASSEMBLER_TOKEN.sub(lambda match: match[0] if match["quoted"] else blank(match[0]), text)


def as_assembled(source: str) -> str:
    """What of a ``.S`` source is assembler text, the rest as blanks: same length.

    The body of a ``#define`` is kept, as one line; pasting and stringising become a character that the
    grammar takes for part of a name. Other directives and comments are blanked.
    """

    def token(match: re.Match[str]) -> str:
        if match["quoted"]:
            return match[0]
        if match["define"] is None:
            return blank(match[0])
        head = match.end("define") - match.start()
        body = match[0][head:]
        body = _DEFINE_TOKEN.sub(lambda inner: inner[0] if inner["quoted"] else " " * len(inner[0]), body)
        body = re.sub(r"\\\r?\n", lambda joint: " " * len(joint[0]), body)
        if match["params"] is None:
            body = re.sub(r"(?<!#)#(?!#).*", lambda comment: " " * len(comment[0]), body)
        return " " * head + body.replace("#", "@")

    return _SOURCE_TOKEN.sub(token, source)


def lines_with(text: str, candidates: list[int]) -> Iterator[tuple[int, int]]:
    """The bounds of the lines that hold the candidates, each line once."""
    done = -1
    for position in candidates:
        if position > done:
            start = text.rfind("\n", 0, position) + 1
            end = text.find("\n", position)
            done = len(text) if end < 0 else end
            yield start, done


class _File:
    """One text on its way through. `clean` is what is parsed: as long as `text`, comments blanked."""

    def __init__(self, name: str, text: str, clean: str, *, source: bool = False, lenient: bool = False) -> None:
        self.name, self.text, self.clean = name, text, clean
        self.unpreprocessed = source
        self.lenient = lenient
        self.states, self.lines = States(clean), Lines(text)
        # Whether anything but an instruction names a sensitive register, and so may be its way into a macro.
        self.passes_registers = _PASSED.search(clean) is not None

    def _sensitive(self, start: int, end: int) -> list[Sensitive]:
        piece = self.clean[start:end]
        if self.states.at(start).intel:
            line, _ = self.lines(start)
            raise PortError(f"{self.name}:{line}: `{piece.strip()}` is in Intel syntax, which cannot be "
                            f"ported: write it in AT&T syntax, or compile with -masm=att")
        try:
            return [item.shifted(start) for item in decide(piece)]
        except Unparsable as error:
            foreign = self.unpreprocessed and not names_i386(self.clean)
            if foreign or self.lenient or self.text[start:end].lstrip().startswith("#"):
                return []  # C, a C macro whose body is no statement, or another processor's assembler
            line, column = self.lines(start + error.position)
            raise PortError(f"{self.name}:{line}:{column}: cannot parse `{self.text[start:end].strip()}`: "
                            f"correct the statement, or keep the file out with --exclude") from None

    def _edits(self, item: Sensitive, state: State) -> list[Edit]:
        edits = [Edit(change.start, change.end, "".join(part.text or self.text[part.start:part.end]
                                                        for part in change.parts)) for change in item.changes]
        if state.alternate_macros and edits:
            # In this mode a macro argument `%reg` would be an expression to evaluate.
            edits[0] = edits[0]._replace(text=f".noaltmacro; {edits[0].text}")
            edits[-1] = edits[-1]._replace(text=f"{edits[-1].text}; .altmacro")
        return edits

    def port(self, pieces: Iterable[tuple[int, int]]) -> Ported:
        """Port the statements within the pieces, which are in ascending order."""
        found = [item for start, end in pieces for item in self._sensitive(start, end)]
        edits: list[Edit] = []
        sites: list[Site] = []
        foreign = self.unpreprocessed and not names_i386(self.clean)
        for item in combine(found, self.clean):
            state = self.states.at(item.start)
            if item.macro == RESOLVE and not self.passes_registers:
                continue
            if foreign and item.changes:
                item = item._replace(macro="", changes=(), reason=_FOREIGN)
            if state.bits != "32":
                item = item._replace(macro="", changes=(),
                                     reason=f"{state.bits}-bit code does not run in an i386 guest")
            edits += self._edits(item, state)
            sites.append(Site(self.name, *self.lines(item.start), self.text[item.start:item.end], item))
        return Ported(apply(self.text, edits) if edits else self.text, tuple(sites))


def port_assembly(text: str, name: str) -> Ported:
    """Port text that goes to the assembler as it is: a ``.s`` file, or what a compiler wrote.

    Raises PortError for Intel syntax and for sensitive lines that do not parse.
    """
    candidates = prefilter.candidates(text)
    if not candidates:
        return Ported(text)
    # Comments on one line are the grammar's business; one that spans lines may hide a candidate.
    clean = without_comments(text) if "/*" in text else text
    return _File(name, text, clean).port(lines_with(text, candidates))


def port_source(text: str, name: str) -> Ported:
    """Port assembler source that is still to be preprocessed, ``#define`` bodies included.

    Raises PortError as `port_assembly` does.
    """
    if not prefilter.mentions(text):
        return Ported(text)
    clean = as_assembled(text)
    candidates = prefilter.candidates(clean)
    return _File(name, text, clean, source=True).port(lines_with(clean, candidates)) if candidates else Ported(text)


def port_header(text: str, name: str) -> Ported:
    """Port the assembler macros of a header that C and assembly share.

    What is C in it does not parse or has neither a register nor an immediate in it, and is left alone.
    """
    if not prefilter.mentions(text):
        return Ported(text)
    clean = as_assembled(text)
    positions = [p for p in prefilter.candidates(clean) if _ASSEMBLER_LINE.match(clean, clean.rfind("\n", 0, p) + 1)]
    return _File(name, text, clean, lenient=True).port(lines_with(clean, positions)) if positions else Ported(text)
