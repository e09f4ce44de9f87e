"""Porting the files of a tree by all processors, and again only those for which something changed.

What becomes of a file depends on its text, on whether assembly includes it, on the string macros of the tree
that it names, and on the porter itself; of a NASM file, on all files that it has to do with. The digest of these is its
*context*: where a former port recorded the same one for the same text, its result is taken.
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
from porter.foreign import port_foreign
from porter.generated import port_generator
from porter.includes import with_include, with_nasm_include
from porter.model import Site, Syntax
from porter.nasm_files import Group
from porter.nasm_group import port_group
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
    NASM_INCLUDE,
    SOURCE,
    C,
    File,
    Look,
    Tree,
    added_text,
    assembler_headers,
    default_syntax,
    digest,
    in_intel_syntax,
    look,
    read_text,
)
from porter.tree_roles import with_roles
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
    suffix: str  # of what it was treated as


@dataclass
class Result:
    """What porting a tree came to, by paths in it.

    `added` are the texts of the files that were not there, `nasm` the sources that are ported as NASM's.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    ported: dict[str, PortedFile] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)
    nasm: frozenset[str] = frozenset()

    @property
    def changed(self) -> list[str]:
        return [path for path, one in self.ported.items() if one.output != self.looks[path].digest]

    @property
    def entries(self) -> Iterator[Entry]:
        return (entry for one in self.ported.values() for entry in one.entries)


class _Places(NamedTuple):
    """The tree, where the last port lies, and where a changed text is written to."""

    root: Path
    former: Path | None
    stage: Path | None

    def text(self, path: str, seen: Look) -> str:
        """The text of a source. Raises PortError, also where it is not the one that was looked at."""
        text = read_text(self.root / path)
        if digest(text.encode("latin-1")) != seen.digest:
            raise PortError(f"{self.root / path}: changed while the tree was ported: run the port again")
        return text

    def former_text(self, path: str, seen: Look, known: Known | None, context: str) -> str | None:
        """The text that the last port made of the same text in the same context; None where there is none."""
        if known is None or self.former is None or (known.look.digest, known.context) != (seen.digest, context):
            return None
        try:
            text = (self.former / path).read_bytes()
        except OSError:
            return None
        return text.decode("latin-1") if digest(text) == known.output else None

    def result(self, path: str, text: str, after: str, entries: list[Entry], seen: Look, context: str, *,
               reused: bool, suffix: str) -> PortedFile:
        """What became of a source. Raises PortError where the changed text cannot be written."""
        if self.stage and after != text:
            _write(self.stage / path, after)
        output = seen.digest if after == text else digest(after.encode("latin-1"))
        return PortedFile(context, output, entries, "" if after == text else file_patch(path, text, after),
                          _around(text, entries), reused, suffix)


class _Task(NamedTuple):
    """One source to port."""

    places: _Places
    file: File
    look: Look
    in_assembly: bool
    syntaxes: Sequence[Syntax]  # those that text is for which would do in either
    default: Syntax  # that of assembler macros in headers that show none
    macros: Survey | None  # those of the tree; None where the file has nothing to do with any
    known: Known | None
    porter: str  # the fingerprint of the porter
    hot: tuple[Access, ...]  # accesses to device memory that a profile tells of
    foreign: str  # why a source in Intel syntax is not ported, '' where it is none


class _GroupTask(NamedTuple):
    """NASM files to port. `wanted` are those of them that may change, the others were excluded."""

    places: _Places
    group: Group
    looks: Mapping[str, Look]
    wanted: frozenset[str]
    known: Mapping[str, Known]
    porter: str


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
    if file.intel_syntax:
        return text, port_foreign(text, file.path, task.foreign) if task.foreign else ()
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


def _port_file(task: _Task) -> PortedFile:
    file = task.file
    text = task.places.text(file.path, task.look)
    macros = _relevant(task.macros, text)
    context = digest(repr((task.porter, file.suffix, task.in_assembly, task.syntaxes, task.in_assembly and task.default,
                           sorted(macros.used), sorted(macros.text.items()), sorted(macros.evidence.syntaxes),
                           macros.evidence.alternatives, task.hot, task.foreign)).encode())
    after = task.places.former_text(file.path, task.look, task.known, context)
    reused = after is not None
    if task.known and after is not None:
        entries = task.known.entries
    else:
        after, sites = _port_text(task, text, macros)
        entries = _shown(map(source_entry, sites))
        if task.hot:
            after, gates = with_gates(after, file.path, file.suffix in SOURCE, task.hot)
            entries = sorted([*entries, *_shown(gates)], key=lambda entry: (entry.line, entry.column))
        if after != text:
            after = _with_macros(file, after)
    return task.places.result(file.path, text, after, entries, task.look, context, reused=reused, suffix=file.suffix)


def _shown(entries: Iterable[Entry]) -> list[Entry]:
    return [entry._replace(text=readable(entry.text)) for entry in entries]


def _port_group(task: _GroupTask) -> dict[str, PortedFile]:
    """What becomes of NASM files that have to do with each other: all are as the last time, or all are ported."""
    places, looks, group = task.places, task.looks, task.group
    texts = {path: places.text(path, looks[path]) for path in group.files}
    context = digest(repr((task.porter, [(path, looks[path].digest) for path in group.files], group.roots,
                           sorted(group.links.items()), sorted(task.wanted))).encode())
    former = {path: places.former_text(path, looks[path], task.known.get(path), context) for path in task.wanted}
    ported = {} if all(text is not None for text in former.values()) else port_group(group, texts)
    results: dict[str, PortedFile] = {}
    for path in sorted(task.wanted):
        if ported:
            after, entries = ported[path].text, _shown(map(source_entry, ported[path].sites))
            if after != texts[path]:
                after = with_nasm_include(after, path, NASM_INCLUDE)
        else:
            after, entries = former[path] or "", task.known[path].entries
        results[path] = places.result(path, texts[path], after, entries, looks[path], context, reused=not ported,
                                      suffix=os.path.splitext(path)[1])
    return results


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
    files, again = with_roles(tree.files, result.looks,
                              lambda file: look(root, file, known[file.path].look if file.path in known else None))
    result.looks |= again
    places, porter = _Places(root, former, stage), memo.FINGERPRINT
    intel = in_intel_syntax(root, files, result.looks)
    sizes = {file.path: file.size for file in files}
    excluded = {file.path for file in files if file.excluded}
    groups = [_GroupTask(places, group, {path: result.looks[path] for path in group.files},
                         frozenset(group.files) - excluded,
                         {path: known[path] for path in group.files if path in known}, porter)
              for group in intel.groups]
    result.nasm = frozenset(path for task in groups for path in task.wanted)
    sources = [file for file in files if file.source and file.path not in result.nasm]
    macros, concerned = _survey(root, sources, result.looks, workers)
    headers = assembler_headers(files, result.looks)
    default = default_syntax(files, result.looks, syntaxes)
    tasks = [_Task(places, file, result.looks[file.path], os.path.basename(file.path) in headers, syntaxes,
                   default, macros if file.path in concerned else None, known.get(file.path), porter,
                   hot.get(file.path, ()), intel.foreign.get(file.path, ""))
             for file in sources]
    ported = workers.map(_port_file, tasks, [file.size for file in sources])
    for file, one in zip(sources, bar.over("porting", ported, len(sources)), strict=False):
        result.ported[file.path] = one
    for some in workers.map(_port_group, groups, [sum(sizes[path] for path in task.group.files) for task in groups]):
        result.ported |= some
    result.ported = dict(sorted(result.ported.items()))
    changed = result.changed
    used = {entry.macro for path, one in result.ported.items() if path not in result.nasm for entry in one.entries
            if entry.treatment == "ported"}
    for name in sorted({_brings(path, result) for path in changed}):
        result.added[name] = added_text(name, used)
    return result


def _brings(path: str, result: Result) -> str:
    """The file with the macros that a changed source includes."""
    if path in result.nasm:
        return NASM_INCLUDE
    return INCLUDE if result.ported[path].suffix in ASSEMBLY else HEADER


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
