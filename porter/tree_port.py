"""Porting the files of a tree by all processors, and again only those for which something changed.

What becomes of a file depends on its text, on whether assembly includes it, on the string macros of the tree
that it names, and on the porter itself. The digest of these is its *context*: where a former port recorded the
same one for the same text, its result is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from porter import memo
from porter.asm_port import port_assembly
from porter.c_dialects import Evidence
from porter.c_port import Survey, port_c, string_macros
from porter.errors import PortError
from porter.files import no_room
from porter.generated import port_generator
from porter.includes import with_include
from porter.model import Site, Syntax
from porter.patch import file_patch
from porter.profile import Access, with_gates
from porter.progress import Bar
from porter.report import Entry, source_entry
from porter.source_port import port_header, port_source
from porter.tree_files import (
    ASSEMBLY,
    GENERATORS,
    HEADER,
    INCLUDE,
    SOURCE,
    C,
    File,
    Look,
    Tree,
    added_text,
    assembler_headers,
    default_syntax,
    digest,
    look,
    read_text,
)
from porter.workers import Workers

_AROUND = 3  # lines shown before and after an instruction
_LONGEST = 240  # characters of a line that is shown
_WORD = re.compile(r"\w+")


class Known(NamedTuple):
    """What a former port recorded of a file. `output` is the digest of what it wrote."""

    look: Look
    context: str
    output: str
    entries: list[Entry]


class PortedFile(NamedTuple):
    """What became of one source. `lines` are those around its sensitive instructions, by number."""

    context: str
    output: str
    entries: list[Entry]
    patch: str
    lines: dict[int, str]
    reused: bool


@dataclass
class Result:
    """What porting a tree came to, by paths in it. `added` are the texts of the files that were not there."""

    looks: dict[str, Look] = field(default_factory=dict)
    ported: dict[str, PortedFile] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> list[str]:
        return [path for path, one in self.ported.items() if one.output != self.looks[path].digest]

    @property
    def entries(self) -> Iterator[Entry]:
        return (entry for one in self.ported.values() for entry in one.entries)


class _Task(NamedTuple):
    """One source to port. `stage`: where a changed text is written to; `former`: where the last port lies."""

    root: Path
    file: File
    look: Look
    in_assembly: bool
    syntaxes: Sequence[Syntax]  # those that text is for which would do in either
    default: Syntax  # that of assembler macros in headers that show none
    macros: Survey | None  # those of the tree; None where the file has nothing to do with any
    known: Known | None
    former: Path | None
    stage: Path | None
    porter: str  # the fingerprint of the porter
    hot: tuple[Access, ...]  # accesses to device memory that a profile tells of


def _relevant(macros: Survey | None, text: str) -> Survey:
    """Of the macros of a tree, those that a text names."""
    if macros is None:
        return Survey(frozenset(), {})
    used = macros.used.intersection(_WORD.findall(text))
    return macros._replace(used=used, text={name: macros.text[name] for name in used if name in macros.text})


def _port_text(task: _Task, text: str, macros: Survey) -> tuple[str, tuple[Site, ...]]:
    file = task.file
    if file.suffix in GENERATORS:
        return text, port_generator(text, file.path)
    if file.suffix in ASSEMBLY:
        return port_assembly(text, file.path)
    if file.suffix in SOURCE:
        return port_source(text, file.path)
    ported = port_c(text, file.path, macros, task.syntaxes)
    if not task.in_assembly:
        return ported
    again = port_header(ported.text, file.path, task.default)
    return again.text, ported.sites + again.sites


def _with_macros(file: File, text: str) -> str:
    """A ported text with the include that brings the macros it uses."""
    if file.suffix in ASSEMBLY:
        return with_include(text, INCLUDE, ".include")
    return with_include(text, os.path.relpath(HEADER, os.path.dirname(file.path) or "."))


def readable(text: str) -> str:
    """A text of which each character is a byte, as people read it."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


def _around(text: str, entries: Iterable[Entry]) -> dict[int, str]:
    wanted = sorted({line + by for line in {entry.line for entry in entries}
                     for by in range(-_AROUND, _AROUND + 1)} - {0})
    if not wanted:
        return {}
    lines = text.split("\n")
    return {number: readable(lines[number - 1].rstrip("\r")[:_LONGEST]) for number in wanted
            if 0 < number <= len(lines)}


def _former_text(task: _Task, context: str) -> str | None:
    """The text that the last port made of the same text in the same context; None where there is none."""
    known = task.known
    if known is None or task.former is None or (known.look.digest, known.context) != (task.look.digest, context):
        return None
    try:
        text = (task.former / task.file.path).read_bytes()
    except OSError:
        return None
    return text.decode("latin-1") if digest(text) == known.output else None


def _port_file(task: _Task) -> PortedFile:
    file = task.file
    text = read_text(task.root / file.path)
    if digest(text.encode("latin-1")) != task.look.digest:
        raise PortError(f"{task.root / file.path}: changed while the tree was ported: run the port again")
    macros = _relevant(task.macros, text)
    context = digest(repr((task.porter, task.in_assembly, task.syntaxes, task.in_assembly and task.default,
                           sorted(macros.used), sorted(macros.text.items()), sorted(macros.evidence.syntaxes),
                           macros.evidence.alternatives, task.hot)).encode())
    after = _former_text(task, context)
    reused = after is not None
    if task.known and after is not None:
        entries = task.known.entries
    else:
        after, sites = _port_text(task, text, macros)
        entries = [source_entry(site) for site in sites]
        if task.hot:
            after, gates = with_gates(after, file.path, file.suffix in SOURCE, task.hot)
            entries = sorted([*entries, *gates], key=lambda entry: (entry.line, entry.column))
        entries = [entry._replace(text=readable(entry.text)) for entry in entries]
        if after != text:
            after = _with_macros(file, after)
    if task.stage and after != text:
        _write(task.stage / file.path, after)
    output = task.look.digest if after == text else digest(after.encode("latin-1"))
    return PortedFile(context, output, entries, "" if after == text else file_patch(file.path, text, after),
                      _around(text, entries), reused)


def _write(place: Path, text: str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode("latin-1"))
    except OSError as error:
        raise no_room(place, error) from None


class _LookTask(NamedTuple):
    root: Path
    file: File
    known: Look | None


def _look(task: _LookTask) -> Look:
    return look(*task)


class _DefinitionTask(NamedTuple):
    root: Path
    file: File
    used: frozenset[str]


def _definitions(task: _DefinitionTask) -> list[tuple[str, str]]:
    return string_macros(read_text(task.root / task.file.path), task.used)


def port_tree(root: Path, tree: Tree, workers: Workers, bar: Bar, known: dict[str, Known] | None = None,
              former: Path | None = None, stage: Path | None = None, syntaxes: Sequence[Syntax] = (),
              hot: Mapping[str, tuple[Access, ...]] | None = None) -> Result:
    """Port all sources of a tree.

    `known` is what a former port recorded, `former` the tree that it wrote; changed texts are written below
    `stage`. `syntaxes` are those that text is for which would do in either; without any, the tree has to show it.
    `hot` are the accesses to device memory that a profile tells of, by path in the tree.
    Raises PortError for what cannot be read, parsed or written, and Interrupted.
    """
    known, hot = known or {}, hot or {}
    result = Result()
    looks = workers.map(_look, [_LookTask(root, file, known[file.path].look if file.path in known else None)
                                for file in tree.files], [file.size for file in tree.files])
    for file, found in zip(tree.files, bar.over("reading", looks, len(tree.files)), strict=False):
        result.looks[file.path] = found
    sources = [file for file in tree.files if file.source]
    macros, concerned = _survey(root, sources, result.looks, workers)
    porter = memo.fingerprint()
    headers = assembler_headers(tree.files, result.looks)
    default = default_syntax(tree.files, result.looks, syntaxes)
    tasks = [_Task(root, file, result.looks[file.path], os.path.basename(file.path) in headers, syntaxes,
                   default, macros if file.path in concerned else None, known.get(file.path), former, stage, porter,
                   hot.get(file.path, ()))
             for file in sources]
    ported = workers.map(_port_file, tasks, [file.size for file in sources])
    for file, one in zip(sources, bar.over("porting", ported, len(sources)), strict=False):
        result.ported[file.path] = one
    changed = result.changed
    used = {entry.macro for entry in result.entries if entry.treatment == "ported"}
    for name in sorted({INCLUDE if os.path.splitext(path)[1] in ASSEMBLY else HEADER for path in changed}):
        result.added[name] = added_text(name, used)
    return result


def _survey(root: Path, sources: list[File], looks: dict[str, Look], workers: Workers) -> tuple[Survey, set[str]]:
    """The string macros of the tree that inline assembly is written with, and the files that they may concern."""
    used = frozenset(name for one in looks.values() for name in one.uses)
    concerned = {file.path for file in sources if looks[file.path].asm}
    text: dict[str, str] = {}
    if used:
        files = [file for file in sources if file.suffix in C]
        found = workers.map(_definitions, [_DefinitionTask(root, file, used) for file in files],
                            [file.size for file in files])
        for file, macros in zip(files, found, strict=True):
            if macros:
                concerned.add(file.path)
            text.update({name: value for name, value in macros if value})
    evidence = Evidence(frozenset(syntax for file in sources if file.suffix in C for syntax in looks[file.path].shows),
                        any(one.alternatives for one in looks.values()))
    return Survey(used, text, evidence), concerned
