"""Porting NASM files that several programs of a source tree share: each file becomes one text, right for all of them.

Every program, a file with all that it includes, is ported as the wrapper does it; then the changes to each file are put
together. A statement that one program has as 16-bit code and another as 32-bit code becomes one that chooses when it is
assembled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from porter.errors import PortError
from porter.model import Sensitive, Site
from porter.nasm_classify import BY_BITS
from porter.nasm_files import Group
from porter.nasm_program import Copy, Program
from porter.nasm_text import STI_HLT, NasmPorted, Shared, port_program
from porter.reach import OTHER_BITS
from porter.rewrite import Edit, Ported, apply

_Statement = tuple[str, int]  # by its file and the offset there
_SIZE = re.compile(r"^[ \t]*(?:[\w.$#@~?]+:[ \t]*)?\[?[ \t]*(?:bits[ \t]+|use)(?:16|32|64)\b", re.MULTILINE)
_WIDE = re.compile(r"(?<![\w.$@?%])r(?:[abcd]x|[sd]i|[sb]p|[89]|1[0-5])(?![\w.$@?:])")
_OBJECT = re.compile(r"^[ \t]*\[?[ \t]*(?:global|extern|common)\b", re.MULTILINE)
_SMALL = re.compile(r"^[ \t]*\[?[ \t]*(?:org|group)\b|^[ \t]*\.\.start\b|\bdw[ \t]+(?:0x|\$)?0?aa55h?\b", re.MULTILINE)


def start_sizes(text: str) -> tuple[str, ...]:
    """The code size in which a program may begin: that of its output format, which only its build says.

    Flat files and DOS's objects begin as 16-bit code, other objects as 32-bit code, 64-bit ones as 64-bit code (NASM
    manual, "BITS" and "Output Formats"). What shows none of these may be either of the first two.
    """
    lower = text.lower()
    first = _SIZE.search(lower)
    if first and not lower[:first.start()].strip():
        return ("32",)  # nothing is in front of the directive
    if _WIDE.search(lower[:first.start()] if first else lower):
        return ("64",)
    if _SMALL.search(lower):
        return ("16",)
    return ("32",) if _OBJECT.search(lower) else ("16", "32")


def port_group(group: Group, texts: Mapping[str, str]) -> dict[str, Ported]:
    """Port the files of a group, whose texts are given by path. Raises PortError for lines that do not parse."""

    def find(name: str, includer: str) -> tuple[str, str] | None:
        path = group.links.get((includer, name))
        return (path, texts[path]) if path else None

    programs: list[Program] = []
    for root in group.roots:
        first = Program(root, texts[root], "32", find)
        programs += [first if bits == "32" else Program(root, texts[root], bits, find)
                     for bits in start_sizes(first.text)]
    ported = [port_program(program) for program in programs]
    shared = _shared(ported)
    if shared.by_bits or shared.apart:
        ported = [port_program(program, shared) for program in programs]
    return _merged(group.files, texts, ported)


def _copies(copy: Copy) -> Iterator[Copy]:
    yield copy
    for _, _, child in copy.includes:
        yield from _copies(child)


def _shared(ported: Iterable[NasmPorted]) -> Shared:
    """Where programs differ about a statement."""
    sites: dict[_Statement, list[Site]] = {}
    copies: dict[str, int] = {}
    for one in ported:
        for copy in _copies(one.program.root):
            copies[copy.path] = copies.get(copy.path, 0) + 1
        for site in one.sites:
            copy, offset = one.program.source(site.item.start)
            sites.setdefault((copy.path, offset), []).append(site)
    by_bits = frozenset(
        statement for statement, found in sites.items() if any(site.item.changes for site in found)
        and any(site.item.reason.endswith(OTHER_BITS) or _chooses(site.item) for site in found))
    apart = frozenset(
        statement for statement, found in sites.items() if any(site.item.macro == STI_HLT for site in found)
        and (len(found) < copies[statement[0]]
             or any(site.item.changes and site.item.macro != STI_HLT for site in found)))
    return Shared(by_bits, apart)


def _chooses(item: Sensitive) -> bool:
    """Whether the code size decides what a statement becomes."""
    return any(part.text.startswith(f"{BY_BITS} ") for change in item.changes for part in change.parts)


def _merged(files: Iterable[str], texts: Mapping[str, str], ported: Sequence[NasmPorted]) -> dict[str, Ported]:
    edits: dict[str, dict[Edit, str]] = {path: {} for path in files}  # each with the first program that asks for it
    sites: dict[str, dict[tuple[int, int], Site]] = {path: {} for path in edits}
    for one in ported:
        for copy in _copies(one.program.root):
            for edit in one.edits.get(id(copy), ()):
                edits[copy.path].setdefault(edit, one.program.root.path)
        for site in one.sites:
            known = sites[site.file].setdefault((site.line, site.column), site)
            if not known.item.changes:
                sites[site.file][site.line, site.column] = site
    return {path: Ported(_applied(path, texts[path], found), tuple(sites[path][place] for place in sorted(sites[path])))
            for path, found in edits.items()}


def _applied(path: str, text: str, edits: Mapping[Edit, str]) -> str:
    in_order = sorted(edits)
    for one, other in pairwise(in_order):
        if other.start < one.end or other.start == one.start:
            raise PortError(f"{path}:{text.count(chr(10), 0, other.start) + 1}: becomes `{one.text.strip()}` for "
                            f"{edits[one]}, `{other.text.strip()}` for {edits[other]}: give each a file of its own, or "
                            f"build them with `ring3 nasm`")
    return apply(text, in_order) if in_order else text
