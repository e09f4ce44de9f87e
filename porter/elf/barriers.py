"""Where somebody may come to: places that no patch may have in its middle.

That are targets of branches and calls, also of code that is only guessed at, symbols, and whatever has the look of a
pointer to them: a word in memory, or an immediate, by link or by load address, or counted from where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from porter.binary.code import CodeMap
from porter.binary.flow import Flow
from porter.binary.opcodes import action_of, displacement

_TABLE_STEP = 16  # bytes from one relative pointer of a table to the next, at most


@dataclass(frozen=True)
class Barriers:
    """Link addresses at which a patch may begin, but which it may not cover otherwise.

    `named`: those to which others may come than the branches in `flow`. `kept`: what is there does not move.
    """

    all: set[int]
    named: set[int]
    kept: set[int]


def barriers(flow: Flow, entries: set[int], kept: set[int]) -> Barriers:
    """All barriers, `entries` and `kept` among them."""
    named = entries.union(kept, *map(_swept, flow.maps))
    return Barriers(named | set(flow.sources), named, kept)


def entries(flow: Flow, words: dict[int, int]) -> set[int]:
    """Link addresses that the program, or its symbols, name; `words` are its `pointers`."""
    found = {*flow.references, *(symbol.address for symbol in flow.image.symbols), *words.values()}
    if flow.image.entry is not None:
        found.add(flow.image.entry)
    return found


def pointers(flow: Flow) -> dict[int, int]:
    """Words in memory that could be addresses of code, aligned as compilers align them: where they stand, and the link
    address that they name. Of instructions' own bytes `flow` has told."""
    image, found = flow.image, dict[int, int]()
    ranges = [(region.base, region.end, 0) for region in image.code]
    for segment in image.segments:
        shift = segment.virtual - segment.physical
        ranges += [(region.base - shift, region.end - shift, shift) for region in image.code
                   if shift and segment.virtual <= region.base < segment.virtual + segment.file_size]  # fmt: skip
    low, high = min(start for start, _, _ in ranges), max(end for _, end, _ in ranges)
    for region in image.regions:
        first, code = region.first_aligned, flow.map_at(region.base)
        words = region.words(first)
        near = np.flatnonzero((low <= words) & (words < high))
        if code is not None:
            near = near[~code.covered(0, code.size)[first + 4 * near]]
        named, stands = words[near].astype(np.int64), region.base + first + 4 * near
        for start, end, shift in ranges:
            inside = (start <= named) & (named < end)
            found.update(zip(stands[inside].tolist(), (named[inside] + shift).tolist(), strict=True))
    return found


def relative_pointers(flow: Flow) -> set[int]:
    """Instructions that words in memory name that count from where they stand, as tables of exceptions and of places
    that a kernel patches itself have them, packed or not. Three in a row, at equal distances, make a table; fewer say
    nothing, for numbers in data near code look so, too, and nor do those that are all the same or all name one place,
    as code in rows has them that nobody has read."""
    found = set[int]()
    for region in flow.image.regions:
        code = flow.map_at(region.base)
        data = ~code.covered(0, code.size) if code else None
        named_at = np.zeros(len(region.data), np.int64)
        for first in range(4):
            words = region.words(first)
            stands = first + 4 * np.arange(len(words))
            named = stands + region.base + words & 0xFFFF_FFFF
            inside = np.zeros(len(words), bool)
            for other in flow.maps:
                near = np.flatnonzero((other.base <= named) & (named < other.base + other.size))
                inside[near] = other.reached(named[near] - other.base)
            if data is not None:
                inside &= data[stands]
            named_at[stands[inside]] = named[inside]
        found.update(named_at[_in_rows(named_at)].tolist())
    return found


def _in_rows(named: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of those that are set belong to three at equal distances, of different words that name different places."""
    found = np.zeros(len(named) + 2 * _TABLE_STEP, bool)
    ahead, stands = np.pad(named, (0, 2 * _TABLE_STEP)), np.flatnonzero(named)
    for step in range(4, _TABLE_STEP + 1):
        one, two, three = ahead[stands], ahead[stands + step], ahead[stands + 2 * step]
        row = (two != 0) & (three != 0)
        for alike in (0, step):
            row &= (two - one != alike) | (three - two != alike)
        for place in (0, step, 2 * step):
            found[stands[row] + place] = True
    return found[: len(named)]


def _swept(code: CodeMap) -> set[int]:
    """Targets of branches in a linear reading of what nothing shows to be code: a hint, and good for no more."""
    found = set[int]()
    for start, end in code.gaps(0, code.size):
        at = start
        while at < end:
            size = code.decode(at)
            if not size:
                at += 1
                continue
            after = at + size
            by = displacement(code.data, after, action_of(code.data, at, size)[0])
            if by is not None:
                found.add((code.region.base + after + by) & 0xFFFF_FFFF)
            at = after
    return found
