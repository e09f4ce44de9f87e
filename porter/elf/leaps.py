"""Branches of code that nobody has found: what looks like one, wherever it stands, and what stands where something
leads that was read in another way."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from porter.binary.code import CodeMap
from porter.binary.flow import Flow
from porter.binary.opcodes import action_of
from porter.elf.steps import ENDS, target_of_bytes

_JMP8, _JCC8 = 0xEB, 0x70  # the latter with a condition in its low half
_SIZE, _LONGEST = 2, 0x7F
_MOST_READ = 64  # instructions


class Leaps:
    """Bytes of one piece of code that look like short branches forwards, by where they lead."""

    def __init__(self, code: CodeMap) -> None:
        data = np.frombuffer(code.data, np.uint8)
        opcodes, distances = data[:-1], data[1:]
        is_leap = ((opcodes & 0xF0 == _JCC8) | (opcodes == _JMP8)) & (distances <= _LONGEST)
        sources = np.flatnonzero(is_leap)
        targets = sources + _SIZE + distances[sources]
        order = np.argsort(targets, kind="stable")
        self._targets, self._sources = targets[order], sources[order]

    def sources(self, target: int) -> list[int]:
        """Offsets of the branches to offset `target`."""
        low, high = np.searchsorted(self._targets, (target, target + 1))
        return list(map(int, self._sources[low:high]))


def unread_branches(flow: Flow, entries: Iterable[int]) -> dict[int, list[int]]:
    """Where the relative branches lead, by link addresses, that are met on reading from those of `entries` on at which
    no instruction was found; and where they stand."""
    found: dict[int, list[int]] = {}
    for entry in entries:
        code = flow.map_at(entry)
        if code is None or code.is_reached(entry - code.base):
            continue
        at = entry - code.base
        for _ in range(_MOST_READ):
            size = code.decode(at) if at < code.size else 0
            if not size:
                break
            action, _ = action_of(code.data, at, size)
            target = target_of_bytes(code, at, size, action)
            if target is not None:
                found.setdefault(target, []).append(code.base + at)
            if action in ENDS:
                break
            at += size
    return found
