"""A NASM source with the files that it includes, as one text: code size, macros and reach cross file boundaries.

Each inclusion is a copy of its own, since a file may be included as 16-bit code and again as 32-bit code.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from porter.asm_state import State, States
from porter.comments import blank
from porter.rewrite import Lines

# Strings hold no comments, and comments no strings; a backslash continues either line.
_TOKEN = re.compile(r"""'[^'\n]*'|"[^"\n]*"|`(?:\\.|[^`\\\n])*`|;(?:\\\r?\n|[^\n])*|\\\r?\n""")
_INCLUDE = re.compile(
    r"""^[ \t]*%[ \t]*include[ \t]+(?:(["'`])(?P<name>[^"'`\n]+)\1|(?P<macro>[A-Za-z_.?$@][\w.$#@~?]*))""",
    re.MULTILINE | re.IGNORECASE)
OWN_INCLUDE = "R3_NASM"  # the macro by which ported files of a tree name `ring3.nasm`: see includes.py
_FILE_NAME = r"""^[ \t]*%i?x?define[ \t]+{}[ \t]+(["'`])([^"'`\n]+)\1"""
_DEEPEST = 40  # files that include each other end here; NASM then says so

# What changes the code size, or opens, turns and closes a conditional.
_EVENT = re.compile(
    r"^[ \t]*(?:[\w.$#@~?]+:[ \t]*)?(?:\[?[ \t]*(?:bits[ \t]+|use)(?P<bits>16|32|64)\b"
    r"|\[?[ \t]*(?:section|segment)\b[^\n]*\buse(?P<segment>16|32|64)\b"
    r"|%[ \t]*(?P<conditional>if\w*|elif\w*|else|endif)\b|(?P<call>[\w.$#@~?]+))", re.MULTILINE)
_MACRO = re.compile(
    r"^[ \t]*%[ \t]*i?r?macro[ \t]+(?P<name>[^\s(]+)[ \t]+(?P<least>\d+)(?:-(?P<most>\d+|\*))?(?P<plus>\+)?"
    r"(?P<defaults>[^\n]*)\n(?P<body>.*?)^[ \t]*%[ \t]*endm(?:acro)?\b", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_DEFINE = re.compile(
    r"^[ \t]*%[ \t]*i?x?define[ \t]+(?P<name>[^\s(]+)(?P<parameters>\([^)\n]*\))?[ \t]+(?P<body>[^\n]*)",
    re.MULTILINE | re.IGNORECASE)


def without_comments(text: str) -> str:
    """NASM source with comments, and the joints of continued lines, as blanks: same length, logical lines."""
    def token(match: re.Match[str]) -> str:
        if match[0][0] == ";":
            # A comment that goes on takes the next line with it, which so is part of this one.
            return " " * len(match[0])
        return " " * len(match[0]) if match[0][0] == "\\" else match[0]

    return _TOKEN.sub(token, text)


def included_names(text: str) -> tuple[str, ...]:
    """The files that a source includes, as it names them; those named by a macro of its own, too."""
    clean = without_comments(text)
    names = [match["name"] or _last_file_name(clean[:match.start()], match["macro"])
             for match in _INCLUDE.finditer(clean)]
    return tuple(dict.fromkeys(name for name in names if name))


def _last_file_name(before: str, macro: str) -> str:
    """The file that a single-line macro names behind a text, '' where that does not say."""
    found = re.findall(_FILE_NAME.format(re.escape(macro)), before, re.MULTILINE | re.IGNORECASE)
    return found[-1][1] if found else ""


@dataclass
class Copy:
    """One inclusion of a file. `includes` are the spans of the names of the files that it includes, and those."""

    path: str
    text: str
    includes: list[tuple[int, int, Copy]] = field(default_factory=list)


class _Piece(NamedTuple):
    """Where a stretch of the whole text comes from."""

    start: int
    copy: Copy
    offset: int


class Macro(NamedTuple):
    """A multi-line macro, or a single-line macro (`most` -1, `least` 1 with parameters).

    Offsets are into the whole text.
    """

    name: str
    start: int
    body: int
    end: int
    least: int
    most: int

    @property
    def takes_nothing(self) -> bool:
        return self.least == 0 and self.most <= 0

    def takes(self, operands: int) -> bool:
        return self.least <= operands <= self.most


class NasmStates(States):
    """The code size along a NASM text, which begins with `bits`."""

    def __init__(self, text: str, bits: str, macros: dict[str, str]) -> None:
        self._positions: list[int] = []
        self._states = [State(bits)]
        branches: list[list[State]] = []
        for match in _EVENT.finditer(text.lower()):
            state = self._states[-1]
            size = match["bits"] or match["segment"] or macros.get(match["call"] or "")
            if match["conditional"]:
                state = self._branch(branches, f"#{match['conditional']}", state)
            elif size:
                state = state._replace(bits=size)
            else:
                continue
            self._positions.append(match.end())
            self._states.append(state)


class Program:
    """A source and all that it includes.

    `find` gives path and text of the file that an include names, seen from the file that has it, or None.
    """

    def __init__(self, path: str, text: str, bits: str, find: Callable[[str, str], tuple[str, str] | None]) -> None:
        self.root = Copy(path, text)
        self.unknown: list[tuple[Copy, int, str]] = []  # includes of files that are not here, as written
        self._find = find
        self._pieces: list[_Piece] = []
        self._names: dict[str, str] = {}
        parts: list[str] = []
        self._flatten(self.root, parts, 0, 0)
        self.text = "".join(parts)
        self._lines: dict[int, Lines] = {}
        self.macros = list(self._macros())
        sizes = {m.name.lower(): size[-1] for m in self.macros if m.most >= 0
                 and (size := re.findall(r"\bbits[ \t]+(16|32|64)", self.text[m.body:m.end].lower()))}
        outside = list(self.text)
        for macro in self.macros:
            if macro.name.lower() in sizes:
                outside[macro.body:macro.end] = blank(self.text[macro.body:macro.end])
        self.states = NasmStates("".join(outside), bits, sizes)

    def _flatten(self, copy: Copy, parts: list[str], length: int, depth: int) -> int:
        """Append a file's text, its includes in place; returns the length of the whole so far."""
        clean = without_comments(copy.text)
        position = 0

        def take(end: int) -> None:
            nonlocal length
            if end > position:
                self._pieces.append(_Piece(length, copy, position))
                parts.append(clean[position:end])
                length += end - position

        for match in _INCLUDE.finditer(clean):
            if match["macro"] == OWN_INCLUDE:
                continue  # macros only, of which nothing is to be ported
            group = "name" if match["name"] else "macro"
            known = match["name"] or self._file_name(clean[:match.start()], match["macro"])
            found = self._find(known, copy.path) if known and depth < _DEEPEST else None
            if found is None:
                self.unknown.append((copy, match.start(group), match[group]))
                continue
            child = Copy(*found)
            start, end = match.span(group)
            copy.includes.append((start - 1, end + 1, child) if match["name"] else (start, end, child))
            line_end = clean.find("\n", match.end())
            line_end = len(clean) if line_end < 0 else line_end + 1
            take(line_end)
            position = line_end
            if parts and not parts[-1].endswith("\n"):
                parts.append("\n")
                length += 1
            length = self._flatten(child, parts, length, depth + 1)
            if parts and not parts[-1].endswith("\n"):
                parts.append("\n")
                length += 1
        take(len(clean))
        return length

    def _file_name(self, before: str, macro: str) -> str:
        """The file that a single-line macro names, '' where that is not known."""
        self._names[macro] = _last_file_name(before, macro) or self._names.get(macro, "")
        return self._names[macro]

    def _macros(self) -> Iterator[Macro]:
        for match in _MACRO.finditer(self.text):
            most = match["most"]
            upto = 1 << 30 if most == "*" or match["plus"] else int(most or match["least"])
            yield Macro(match["name"], match.start(), match.start("defaults"), match.end("body"),
                        int(match["least"]), upto)
        for match in _DEFINE.finditer(self.text):
            yield Macro(match["name"], match.start(), match.start("body"), match.end("body"),
                        int(bool(match["parameters"])), -1)

    def source(self, offset: int) -> tuple[Copy, int]:
        """The file, and the offset there, of an offset into the whole text."""
        piece = self._pieces[bisect_right(self._pieces, offset, key=lambda p: p.start) - 1]
        return piece.copy, piece.offset + offset - piece.start

    def place(self, offset: int) -> tuple[str, int, int]:
        """File, line and column of an offset into the whole text."""
        copy, position = self.source(offset)
        return self.place_in(copy, position)

    def place_in(self, copy: Copy, position: int) -> tuple[str, int, int]:
        """File, line and column of an offset into one file."""
        lines = self._lines.setdefault(id(copy), Lines(copy.text))
        return copy.path, *lines(position)
