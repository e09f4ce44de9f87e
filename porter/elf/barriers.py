"""Where somebody may come to: places that no patch may have in its middle.

That are targets of branches and calls, also of code that is only guessed at, symbols, and whatever has the look of a
pointer to them: a word in memory, or an immediate, by link or by load address, or counted from where it stands.
"""

from __future__ import annotations

import numpy as np

from porter.binary.code import CodeMap
from porter.binary.flow import Flow
from porter.binary.opcodes import action_of, displacement

_TABLE_STEP = 16  # bytes from one relative pointer of a table to the next, at most


def barriers(flow: Flow, entries: set[int]) -> set[int]:
    """Link addresses at which a patch may begin, but which it may not cover otherwise; `entries` among them."""
    found = set(flow.sources) | entries
    for code in flow.maps:
        found |= _swept(code)
    return found


def entries(flow: Flow) -> set[int]:
    """Link addresses that the program, or its symbols, name."""
    found = {*flow.references, *(symbol.address for symbol in flow.image.symbols), *_pointers(flow)}
    if flow.image.entry is not None:
        found.add(flow.image.entry)
    return found


def _pointers(flow: Flow) -> set[int]:
    """Words in memory that could be addresses of code, aligned as compilers align them. Of instructions' own bytes
    `flow` has told."""
    image, found = flow.image, set[int]()
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
        named = words[near].astype(np.int64)
        for start, end, shift in ranges:
            found.update((named[(start <= named) & (named < end)] + shift).tolist())
    return found


def relative_pointers(flow: Flow) -> set[int]:
    """Instructions that words in memory name that count from where they stand, as tables of exceptions and of places
    that a kernel patches itself have them, packed or not. One word alone says nothing: small numbers in data near code
    look so, too."""
    found = set[int]()
    for region in flow.image.regions:
        code = flow.map_at(region.base)
        data = ~code.covered(0, code.size) if code else None
        places, targets = [], []
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
            places.append(stands[inside])
            targets.append(named[inside])
        order = np.argsort(place := np.concatenate(places))
        alone = np.diff(place[order], prepend=-_TABLE_STEP, append=len(region.data) + _TABLE_STEP) > _TABLE_STEP
        found.update(np.concatenate(targets)[order][~(alone[:-1] & alone[1:])].tolist())
    return found


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
