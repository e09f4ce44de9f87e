"""Assembly text ported unit by unit, as the program in ``stage/`` does it with what it finds written down.

A unit is a statement without labels, or a line whose statements cannot be told apart without parsing. Most texts, and
nearly all that compilers write, come out the same this way as when they are seen as a whole; `units` says how, and
whoever asks compares.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from porter.asm_port import port_assembly
from porter.asm_text import has_macros, lines_with
from porter.comments import without_comments
from porter.errors import PortError
from porter.model import Site
from porter.prefilter import candidates, modes
from porter.register_symbols import RegisterSymbols

# What a unit is like: the bits are those of stage/assemble.c.
HAS_SITES, STI_LAST, HLT_FIRST = 1, 2, 4

_INDIVISIBLE = re.compile(r"[\"'#/]|hlt|rep", re.IGNORECASE)
# A string, a label.
_HARMLESS = re.compile(r'[ \t]*\.(?:string|ascii|asciz)[ \t]*"(?:[^"\\]|\\.)*"\Z|[\w.$]+:\Z', re.ASCII)
_STRAY = re.compile(r'^[^"\n]*\\', re.MULTILINE)  # a backslash that is in no string
_LABELS = re.compile(r"(?:[\w.$]+:[ \t\r\f]*)+(?=[^ \t\r\f])", re.ASCII)
_BLANKS = " \t\r\f"
_LAST_WORD = re.compile(r"(?<![^\s;:])([^\s;:]{1,8})[\s;]+(?:[^\s;:]+:[\s;]*)*\Z")
_REACH = 200  # how far in front of a unit its prefix is looked for, in characters


class Units(NamedTuple):
    """A text ported unit by unit, and of each unit its bits and what it becomes."""

    ported: str
    parts: dict[str, tuple[int, str]]


def _bounds(text: str) -> Iterator[tuple[int, int]]:
    """The units with candidates in them."""
    positions = candidates(text)
    for start, end in lines_with(text, positions):
        at = start
        divisible = not _INDIVISIBLE.search(text, start, end)
        for piece in text[start:end].split(";") if divisible else [text[start:end]]:
            first = at + len(piece) - len(piece.lstrip(_BLANKS))
            last = first + len(piece.strip(_BLANKS))
            labels = _LABELS.match(text, first, last) if divisible else None
            if any(at <= position <= at + len(piece) for position in positions):
                yield labels.end() if labels else first, last
            at += len(piece) + 1


def _first_prefix(text: str, start: int, prefixes: Collection[str]) -> int:
    """Where the prefixes begin that are statements of their own in front of the one at `start`; -1 without any."""
    first = -1
    while (word := _LAST_WORD.search(without_comments(text[max(0, start - _REACH):start]))) and (
            word[1].lower() in prefixes):
        first = start = start - len(word[0])
    return first


def _described(sites: Sequence[Site], unit: str, ported: str) -> tuple[int, str] | None:
    if any(site.treatment not in ("ported", "stays") for site in sites):
        return None
    if not sites:
        return 0, unit
    first, last = sites[0].item, sites[-1].item
    return HAS_SITES | STI_LAST * (last.key == "sti") | HLT_FIRST * (first.key == "hlt"), ported


def alone(unit: str) -> tuple[int, str] | None:
    """A unit ported as if it were the whole text; None where there is something to tell, or others depend on it."""
    if RegisterSymbols(unit):
        return None
    ported = port_assembly(unit, "")
    return _described(ported.sites, unit, ported.text)


def all_alone(several: Sequence[str]) -> dict[str, tuple[int, str]]:
    """The same for many units of one line each, without those about which there is something to tell."""
    ported = port_assembly("\nnop\n".join(several), "")  # nothing joins two statements with another between them
    sites: dict[int, list[Site]] = {}
    for site in ported.sites:
        sites.setdefault(site.line, []).append(site)
    lines = ported.text.split("\n")[::2]
    found = ((unit, _described(sites.get(2 * number + 1, []), unit, lines[number]))
             for number, unit in enumerate(several))
    return {unit: value for unit, value in found if value}


def units(text: str, prefixes: Collection[str]) -> Units | None:
    """Port a text unit by unit. None where that is no way to port it."""
    if "/*" in text or _STRAY.search(text) or has_macros(text) or any(modes(text)):
        return None
    if RegisterSymbols(text) or "\r" in text.replace("\r\n", "\n"):
        return None
    parts: dict[str, tuple[int, str]] = {}
    pieces: list[str] = []
    copied = 0
    before = (0, 0, 0, 0)  # the last unit with sites: its bits, its start, and `copied` and pieces in front of it
    for start, end in _bounds(text):
        if _HARMLESS.match(text[start:end]):
            continue
        try:
            found = parts.get(text[start:end]) or alone(text[start:end])
            if found is None:
                return None
            parts[text[start:end]] = found
            joined = -1
            if found[0] & HLT_FIRST and before[0] & STI_LAST:
                _, joined, copied, kept = before
                del pieces[kept:]
            elif found[0] & HAS_SITES:
                joined = _first_prefix(text, start, prefixes)
            if joined >= 0:
                start = joined
                found = alone(text[start:end])
                if found is None:
                    return None
                parts[text[start:end]] = found
        except PortError:
            return None
        if found[0] & HAS_SITES:
            before = (found[0], start, copied, len(pieces))
            if found[1] != text[start:end]:
                pieces += [text[copied:start], found[1]]
                copied = end
    return Units("".join([*pieces, text[copied:]]), parts)
