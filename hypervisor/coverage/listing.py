"""Counts over the source: each line with what its sites did, as coverage tools for programs show it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypervisor.coverage.format import Coverage, Place
from hypervisor.coverage.tables import Row, rows
from hypervisor.errors import RingError


@dataclass(frozen=True)
class Line:
    """A line of source; `done` by operation and form, empty where nothing asks for anything. Number 0: lines were left
    out here."""

    number: int
    text: str
    done: Sequence[Row] = ()

    @property
    def count(self) -> int:
        """How often its sites ran."""
        return sum(row.count for row in self.done)


@dataclass(frozen=True)
class Listing:
    """One source file. `path` is where it was found; None: nowhere, then there is a line for each site and no text."""

    name: str
    path: Path | None
    lines: list[Line]


def listings(
    coverage: Coverage, wanted: Sequence[str], roots: Sequence[Path], context: int | None
) -> Iterator[Listing]:
    """The files that have sites, by name. Where code was inlined, the lines that called it have its sites, too.

    `wanted`: of these names, or ends of names, only (all, if empty). `roots`: folders to look for sources in, beside
    the paths that the compiler was given. `context`: lines shown around each that has sites; None: all lines. RingError
    where nothing is of a wanted name.
    """
    by_file: dict[str, dict[int, list[Place]]] = defaultdict(lambda: defaultdict(list))
    for place in (*coverage.sites, *coverage.elsewhere):
        for file, line in {(place.file, place.line), *place.callers}:
            if file:
                by_file[file][line].append(place)
    for name in wanted:
        if not any(_is_named(file, name) for file in by_file):
            raise RingError(f"no site of {coverage.kernel} is in a source file {name}"
                            + ("" if by_file else ": it has no line numbers; build it with -g"))
    for file in sorted(by_file):
        if not wanted or any(_is_named(file, name) for name in wanted):
            yield _listing(file, by_file[file], roots, context)


def _is_named(file: str, name: str) -> bool:
    return f"/{os.path.normpath(file)}".endswith(f"/{os.path.normpath(name).lstrip('/')}")


def _find(file: str, roots: Sequence[Path]) -> Path | None:
    """The file as the compiler was given it, below one of the roots, or with the fewest leading folders left off."""
    parts = Path(os.path.normpath(file)).parts
    for root in roots:
        for first in range(len(parts)):
            path = root.joinpath(*parts[first:])
            if path.is_file():
                return path
    return Path(file) if Path(file).is_file() else None


def _listing(file: str, places: dict[int, list[Place]], roots: Sequence[Path], context: int | None) -> Listing:
    done = {number: rows(places[number], "operation") for number in sorted(places)}
    path = _find(file, roots)
    text = path.read_text(errors="replace").splitlines() if path else []
    shown = range(1, len(text) + 1) if context is None else sorted(
        {near for number in done for near in range(max(1, number - context), min(len(text), number + context) + 1)})
    lines: list[Line] = []
    for number in sorted({*shown, *done}):
        if path and (lines[-1].number if lines else 0) + 1 < number:
            lines.append(Line(0, ""))
        lines.append(Line(number, text[number - 1] if 0 < number <= len(text) else "", done.get(number, ())))
    return Listing(file, path, lines)
