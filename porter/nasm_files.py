"""The NASM files of a source tree, and which of them include which.

NASM looks for an included file in the directory that it is run in, and where options say. A tree tells neither, so
the file is looked for beside the one that includes it, then in each directory above, then anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from porter.asm_text import NO_REGISTER
from porter.assemblers import FASM, GAS, LIKE_GAS, MASM, NASM, UNKNOWN, UNSURE

_OUT_OF_FOLDER = re.compile(r"(?:\.\./)+")
_NO_DOOR = "ring3 ports NASM and GAS: translate it, or let it trap"
_WHICH = "assembly for NASM, FASM or MASM, all of which the tree has: begin it with a line `bits 32` where it is NASM's"


class Group(NamedTuple):
    """NASM files that have to do with each other, in order. `roots` are those that none of the others includes.

    `links` tells which file a name in one of them leads to.
    """

    files: tuple[str, ...]
    roots: tuple[str, ...]
    links: Mapping[tuple[str, str], str]


class Sources(NamedTuple):
    """What a tree has in Intel syntax: NASM's files, and the reason for which others are not ported, by path."""

    groups: tuple[Group, ...]
    foreign: Mapping[str, str]


class Seen(NamedTuple):
    """What is known of a file: the assembler that it shows, and the names that it includes as NASM does."""

    assembler: str
    includes: tuple[str, ...]


class _Paths:
    """The files of a tree, to be found as NASM may find them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._all = frozenset(paths)
        self._by_name: dict[str, list[str]] = {}
        for path in sorted(self._all):
            self._by_name.setdefault(os.path.basename(path), []).append(path)

    def find(self, name: str, includer: str) -> str | None:
        """The file that one of the tree includes by a name."""
        folder = includer
        while folder:
            folder = os.path.dirname(folder)
            path = os.path.normpath(os.path.join(folder, name))
            if path in self._all:
                return path
        tail = _OUT_OF_FOLDER.sub("", os.path.normpath(name), count=1)
        ends = [path for path in self._by_name.get(os.path.basename(tail), ()) if path.endswith(f"/{tail}")]
        return max(ends, key=lambda path: len(os.path.commonpath([path, includer])), default=None)


def sort_out(seen: Mapping[str, Seen], others: Iterable[str], examine: Callable[[str], Seen]) -> Sources:
    """Find the NASM files of a tree.

    `seen` are the files in which there may be Intel syntax; `others` are all others, of which `examine` tells what is
    in them should a NASM file include one.
    """
    known = dict(seen)
    others = frozenset(others)
    paths = _Paths([*known, *others])
    shown = {one.assembler for one in seen.values()} & {NASM, FASM, MASM}
    pending = [path for path, one in seen.items() if one.assembler == NASM]
    if shown <= {NASM}:
        pending += [path for path, one in seen.items() if one.assembler == UNSURE and _whole(path)]
    links: dict[tuple[str, str], str] = {}
    nasm: set[str] = set()
    while pending:
        path = pending.pop()
        if path in nasm:
            continue
        if path not in known:
            known[path] = examine(path)
        if known[path].assembler in (GAS, LIKE_GAS):
            continue  # a name that means another file
        nasm.add(path)
        for name in known[path].includes:
            found = paths.find(name, path)
            if found and found != path:
                links[path, name] = found
                pending.append(found)
    links = {key: path for key, path in links.items() if path in nasm}
    foreign = {path: reason for path, one in seen.items() if path not in nasm
               and (reason := _reason(path, one.assembler, shown))}
    return Sources(tuple(_groups(nasm, links)), foreign)


def _whole(path: str) -> bool:
    """Whether a name is that of a source; the others are those of parts, of C sources and scripts among others."""
    return path.lower().endswith((".asm", ".nasm"))


def _reason(path: str, assembler: str, shown: set[str]) -> str:
    """Why a file that is not NASM's is not ported; '' for one that is none of these assemblers' either."""
    if assembler in (FASM, MASM):
        return f"written for {assembler}; {_NO_DOOR}"
    if assembler == UNSURE and len(shown) == 1 and NASM not in shown:
        return f"written for {min(shown)}, as others of the tree are; {_NO_DOOR}"
    if not _whole(path):
        return ""
    return _WHICH if assembler == UNSURE else NO_REGISTER if assembler == UNKNOWN else ""


def _groups(nasm: Iterable[str], links: Mapping[tuple[str, str], str]) -> Iterable[Group]:
    includes: dict[str, set[str]] = {path: set() for path in nasm}
    around: dict[str, set[str]] = {path: set() for path in nasm}
    for (path, _), found in links.items():
        includes[path].add(found)
        around[path].add(found)
        around[found].add(path)
    done: set[str] = set()
    for first in sorted(includes):
        if first in done:
            continue
        files = _reached([first], around)
        done |= files
        yield Group(tuple(sorted(files)), tuple(_roots(files, includes)),
                    {key: found for key, found in links.items() if key[0] in files})


def _reached(starts: Iterable[str], steps: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    pending = list(starts)
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += steps[path]
    return found


def _roots(files: set[str], includes: Mapping[str, set[str]]) -> list[str]:
    """The files that no other includes; of files that include each other, the first."""
    included = set().union(*(includes[path] for path in files))
    roots = sorted(files - included)
    left = files - _reached(roots, includes)
    while left:
        roots.append(min(left))
        left -= _reached(roots[-1:], includes)
    return roots
