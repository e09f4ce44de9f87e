"""An assembly text on its way through a port: the assembler's state along it, its places, its changes."""

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

_I386 = re.compile(r"%(?:e?[abcd]x|[abcd][hl]|e?[sd]i|e?[sb]p|[c-gs]s|cr\d)\b|\bint[ \t]+\$", re.IGNORECASE)
_PASSED = re.compile(
    r"^(?![^\n]*\b(?:mov|push|pop)[wlb]?[ \t])[^\n]*(?<![\w%])%{0,2}(?:[c-gs]s|cr\d|d[rb]\d)\b(?!:)",
    re.MULTILINE | re.IGNORECASE)
_LINE_MARKER = re.compile(r'^[ \t]*#[ \t]*(?:line[ \t]+)?(\d+)[ \t]+"((?:\\.|[^"\\\n])*)"', re.MULTILINE)
_CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b", re.MULTILINE)
_FOREIGN = "the file names no i386 register: it may be for another processor"


class State(NamedTuple):
    """The assembler's state at one place of a text."""

    bits: str = "32"
    intel: bool = False
    alternate_macros: bool = False


class States:
    """The assembler's state along a text.

    `source`, where the text is still to be preprocessed, tells its conditionals: each branch starts in the
    state in front of the first, and where they end in different ones, 32-bit code is what goes on.
    """

    def __init__(self, text: str, source: str = "") -> None:
        self._positions: list[int] = []
        self._states = [State()]
        branches: list[list[State]] = []  # for each open conditional, the state before it and those at branch ends
        events = [(match.end() - 1, match[1]) for match in prefilter.MODE.finditer("\n" + text.lower())]
        events += [(match.end(), f"#{match[1]}") for match in _CONDITIONAL.finditer(source)]
        for position, word in sorted(events):
            state = self._states[-1]
            if word.startswith("#"):
                state = self._branch(branches, word, state)
            elif word.startswith("code"):
                state = state._replace(bits=word[4:6])
            elif word.endswith("_syntax"):
                state = state._replace(intel=word.startswith("intel"))
            else:
                state = state._replace(alternate_macros=word == "altmacro")
            self._positions.append(position)
            self._states.append(state)

    @staticmethod
    def _branch(branches: list[list[State]], word: str, state: State) -> State:
        if word.startswith("#if"):
            branches.append([state])
        elif branches:
            branches[-1].append(state)
            if word != "#endif":
                return branches[-1][0]
            ends = branches.pop()[1:]
            return next((end for end in ends if end.bits == "32"), state)
        return state

    def at(self, offset: int) -> State:
        return self._states[bisect_right(self._positions, offset)]


class Places:
    """Offsets to the author's file, line and column, as the preprocessor's line markers tell them."""

    def __init__(self, name: str, text: str) -> None:
        self._lines = Lines(text)
        self._markers = [(0, name, 1)]
        for match in _LINE_MARKER.finditer(text):
            self._markers.append((self._lines(match.start())[0], match[2], int(match[1])))

    def __call__(self, offset: int) -> tuple[str, int, int]:
        line, column = self._lines(offset)
        marked, name, number = self._markers[bisect_right(self._markers, (line,)) - 1]
        return name, number + line - marked - 1, column


def names_i386(text: str) -> bool:
    """Whether assembler text names an i386 register or interrupt: other processors have a `hlt` too."""
    return _I386.search(text) is not None


def lines_with(text: str, candidates: list[int]) -> Iterator[tuple[int, int]]:
    """The bounds of the lines that hold the candidates, each line once."""
    done = -1
    for position in candidates:
        if position > done:
            start = text.rfind("\n", 0, position) + 1
            end = text.find("\n", position)
            done = len(text) if end < 0 else end
            yield start, done


class AssemblyText:
    """One text on its way through a port.

    `clean` is what is parsed: as long as `text`, with blanks for what is not for the assembler. `source`: the
    text is a source tree's, perhaps for another processor. `lenient`: what does not parse is no assembler.
    """

    def __init__(self, name: str, text: str, clean: str, *, source: bool = False, lenient: bool = False) -> None:
        self.name, self.text, self.clean = name, text, clean
        self.lenient = lenient
        self.foreign = source and not names_i386(clean)
        self.states, self.place = States(clean, text if source or lenient else ""), Places(name, text)
        # Whether anything but an instruction names a sensitive register, and so may be its way into a macro.
        self.passes_registers = "\\" in clean and _PASSED.search(clean) is not None

    def _sensitive(self, start: int, end: int) -> list[Sensitive]:
        piece = self.clean[start:end]
        if self.states.at(start).intel:
            file, line, _ = self.place(start)
            raise PortError(f"{file}:{line}: `{piece.strip()}` is in Intel syntax, which cannot be "
                            f"ported: write it in AT&T syntax, or compile with -masm=att")
        try:
            return [item.shifted(start) for item in decide(piece)]
        except Unparsable as error:
            if self.foreign or self.lenient or self.text[start:end].lstrip().startswith("#"):
                return []  # C, a C macro whose body is no statement, or another processor's assembler
            file, line, column = self.place(start + error.position)
            raise PortError(f"{file}:{line}:{column}: cannot parse `{self.text[start:end].strip()}`: "
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
        for item in combine(found, self.clean):
            state = self.states.at(item.start)
            if item.macro == RESOLVE and not self.passes_registers:
                continue
            if self.foreign and item.changes:
                item = item._replace(macro="", changes=(), reason=_FOREIGN)
            if state.bits != "32":
                item = item._replace(macro="", changes=(),
                                     reason=f"{state.bits}-bit code does not run in an i386 guest")
            edits += self._edits(item, state)
            sites.append(Site(*self.place(item.start), self.text[item.start:item.end], item))
        return Ported(apply(self.text, edits) if edits else self.text, tuple(sites))


def blank(text: str) -> str:
    """`text` as blanks, with its line feeds."""
    return re.sub(r"[^\n]", " ", text)
