"""An assembly text on its way through a port: its places in the author's files, and its changes."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property

from porter.adjacent import combine
from porter.asm_state import State, States
from porter.errors import PortError
from porter.model import ATT, Sensitive, Site, Syntax
from porter.prefilter import candidates
from porter.reach import Reach
from porter.register_symbols import REASON as REGISTER_SYMBOL
from porter.register_symbols import RegisterSymbols
from porter.rewrite import Edit, Lines, Ported, apply
from porter.statements import Unparsable, decide

_I386 = re.compile(r"\.code(?:16|32)\b|\.(?:intel|att)_syntax\b|\be(?:[abcd]x|[sd]i|[sb]p)\b"
                   r"|%(?:e?[abcd]x|[abcd][hl]|e?[sd]i|e?[sb]p|[c-gs]s|cr\d)\b|\bint[ \t]+\$",
                   re.IGNORECASE)
_PASSED = re.compile(
    r"^(?![^\n]*\b(?:mov|push|pop)[wlb]?[ \t])[^\n]*(?<![\w%])%{0,2}(?:[c-gs]s|cr\d|d[rb]\d)\b(?!:)",
    re.MULTILINE | re.IGNORECASE)
# What begins with a rare character is found quickly: that only blanks are in front of it is asked afterwards.
_LINE_MARKER = re.compile(r'#[ \t]*(?:line[ \t]+)?(\d+)[ \t]+"((?:\\.|[^"\\\n])*)"')
_FUNCTION_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(", re.MULTILINE)
_CALL = re.compile(r"(\w+)\(")
NO_REGISTER = "the file names no i386 register: it may be for another processor"


class Places:
    """Offsets to the author's file, line and column, as the preprocessor's line markers tell them."""

    def __init__(self, name: str, text: str) -> None:
        self._lines = Lines(text)
        self._markers = [(0, name, 1)]
        for match in _LINE_MARKER.finditer(text):
            if not text[text.rfind("\n", 0, match.start()) + 1:match.start()].strip(" \t"):
                self._markers.append((self._lines(match.start())[0], match[2], int(match[1])))

    def __call__(self, offset: int) -> tuple[str, int, int]:
        line, column = self._lines(offset)
        marked, name, number = self._markers[bisect_right(self._markers, (line,)) - 1]
        return name, number + line - marked - 1, column


def has_macros(text: str) -> bool:
    """False: no statement of the text has macro arguments in it."""
    lower = text.lower()
    return ".macro" in lower or ".irp" in lower


def names_i386(text: str) -> bool:
    """Whether assembler text names an i386 register, interrupt or code size: other processors have a `hlt` too."""
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
    `syntax` is the one in which the text starts.
    """

    def __init__(self, name: str, text: str, clean: str, *, source: bool = False, lenient: bool = False,
                 syntax: Syntax = ATT) -> None:
        self.name, self.text, self.clean = name, text, clean
        self.lenient = lenient
        self.foreign = source and not names_i386(clean)
        unprocessed = text if source or lenient else ""
        self.states, self.place = States(clean, unprocessed, syntax), Places(name, text)
        self.reach = Reach(clean, unprocessed, self.states)
        self.register_symbols = RegisterSymbols(clean, not self.states.only_att)
        self._function_macros = frozenset(_FUNCTION_MACRO.findall(unprocessed))

    @cached_property
    def passes_registers(self) -> bool:
        """Whether anything but an instruction names a sensitive register, and so may be its way into a macro."""
        return "\\" in self.clean and _PASSED.search(self.clean) is not None

    def _sensitive(self, start: int, end: int) -> list[Sensitive]:
        piece, syntax = self.clean[start:end], self.states.at(start).syntax
        resolved = self.register_symbols.resolved(piece)
        try:
            if resolved != piece:
                first, last = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
                return [item.left(REGISTER_SYMBOL)._replace(start=first, end=last)
                        for item in decide(resolved, syntax=syntax)]
            return [item.shifted(start) for item in decide(piece, syntax=syntax)]
        except Unparsable as error:
            if self.foreign or self.lenient or self.text[start:end].lstrip().startswith("#"):
                return []  # C, a C macro whose body is no statement, or another processor's assembler
            file, line, column = self.place(start + error.position)
            raise PortError(f"{file}:{line}:{column}: cannot parse `{self.text[start:end].strip()}`: "
                            f"correct the statement, or keep the file out with --exclude") from None

    def _calls_macro(self, start: int) -> bool:
        """Whether what seems to be an instruction is a C macro of its name with arguments."""
        call = _CALL.match(self.clean, start)
        return call is not None and call[1] in self._function_macros

    def _edits(self, item: Sensitive, state: State) -> list[Edit]:
        edits = [Edit(change.start, change.end, "".join(part.text or self.text[part.start:part.end]
                                                        for part in change.parts)) for change in item.changes]
        if state.alternate_macros and edits:
            # In this mode a macro argument `%reg` would be an expression to evaluate.
            edits = [Edit(item.start, item.start, ".noaltmacro; "), *edits, Edit(item.end, item.end, "; .altmacro")]
        return edits

    def port(self) -> Ported:
        """Port all of the text."""
        return self.port_lines(candidates(self.clean, self.states.only_att))

    def port_lines(self, positions: list[int]) -> Ported:
        """Port the lines of the text that hold the positions, which are in ascending order."""
        pieces = lines_with(self.clean, sorted([*positions, *self.register_symbols.uses(self.clean)]))
        found = [item for line in pieces for start, end in self.states.pieces(*line)
                 for item in self._sensitive(start, end)]
        if self._function_macros:
            found = [item for item in found if not self._calls_macro(item.start)]
        edits: list[Edit] = []
        sites: list[Site] = []
        items = combine(found, self.clean)
        if has_macros(self.clean):
            from porter.macro_arguments import passed_mnemonics

            items += passed_mnemonics(self.clean, self.states)
        for item in items:
            state = self.states.at(item.start)
            if item.is_for_the_assembler and not self.passes_registers:
                continue
            if self.foreign and item.changes:
                item = item.left(NO_REGISTER)
            item = item.left(self.reach.obstacle(item.start)) if item.changes else item
            edits += self._edits(item, state)
            sites.append(Site(*self.place(item.start), self.text[item.start:item.end], item))
        return Ported(apply(self.text, edits) if edits else self.text, tuple(sites))
