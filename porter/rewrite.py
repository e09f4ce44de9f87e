"""Applying changes to a text."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
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
    """Offsets to lines and columns, both from 1.

    Texts are large and questions few, so only the line feeds in front of each block are counted beforehand.
    """

    _BLOCK = 4096

    def __init__(self, text: str) -> None:
        self._text = text
        counts = (text.count("\n", start, start + self._BLOCK) for start in range(0, len(text), self._BLOCK))
        self._before = [0, *accumulate(counts)]

    def __call__(self, offset: int) -> tuple[int, int]:
        block = min(offset, len(self._text)) // self._BLOCK
        line = self._before[block] + self._text.count("\n", block * self._BLOCK, offset) + 1
        return line, offset - self._text.rfind("\n", 0, offset)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """`text` with non-overlapping edits applied."""
    pieces, position = [], 0
    for edit in sorted(edits):
        pieces += [text[position:edit.start], edit.text]
        position = edit.end
    return "".join([*pieces, text[position:]])
