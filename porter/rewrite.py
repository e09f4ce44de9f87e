"""Applying changes to a text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from porter.model import Site


class Edit(NamedTuple):
    """Replace the text between two offsets."""

    start: int
    end: int
    text: str


class Ported(NamedTuple):
    """A ported text: unchanged, the same string, where nothing in it is sensitive."""

    text: str
    sites: tuple[Site, ...] = ()


class Lines:
    """Offsets to lines and columns, both from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        position = text.find("\n")
        while position >= 0:
            self._starts.append(position + 1)
            position = text.find("\n", position + 1)

    def __call__(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def apply(text: str, edits: Iterable[Edit]) -> str:
    """`text` with non-overlapping edits applied."""
    pieces, position = [], 0
    for edit in sorted(edits):
        pieces += [text[position:edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, text[position:]])
