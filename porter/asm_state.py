"""The assembler's state along a text: code size, syntax, macro mode."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from porter import prefilter
from porter.model import ATT, Syntax

_CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b", re.MULTILINE)


class State(NamedTuple):
    """The assembler's state at one place of a text."""

    bits: str = "32"
    syntax: Syntax = ATT
    alternate_macros: bool = False


class States:
    """The assembler's state along a text.

    `source`, where the text is still to be preprocessed, tells its conditionals: each branch starts in the
    state in front of the first, and where they end in different ones, 32-bit code is what goes on. `syntax` is
    the one in which the text starts.
    """

    def __init__(self, text: str, source: str = "", syntax: Syntax = ATT) -> None:
        self._positions: list[int] = []
        self._states = [State(syntax=syntax)]
        branches: list[list[State]] = []  # for each open conditional, the state before it and those at branch ends
        events = [(match.end() - 1, "".join(match.groups(""))) for match in prefilter.modes(text)]
        events += [(match.end(), f"#{match[1]}") for match in _CONDITIONAL.finditer(source)]
        for position, word in sorted(events):
            state = self._states[-1]
            if word.startswith("#"):
                state = self._branch(branches, word, state)
            elif word.startswith("code"):
                state = state._replace(bits=word[4:6])
            elif "_syntax" in word:
                # Without an argument, registers need their % in either syntax.
                state = state._replace(syntax=Syntax(word.startswith("intel"), word.endswith("noprefix")))
            else:
                state = state._replace(alternate_macros=word == "altmacro")
            self._positions.append(position)
            self._states.append(state)

    @staticmethod
    def _branch(branches: list[list[State]], word: str, state: State) -> State:
        if word.startswith("#if"):
            branches.append([state])
        elif branches:
            branches[-1].append(state)
            if word != "#endif":
                return branches[-1][0]
            ends = branches.pop()[1:]
            return next((end for end in ends if end.bits == "32"), state)
        return state

    @property
    def has_16_bit(self) -> bool:
        """Whether any of the text is 16-bit code."""
        return any(state.bits.startswith("16") for state in self._states)

    @property
    def only_att(self) -> bool:
        """Whether all of the text is in AT&T syntax with a % in front of each register."""
        return all(state.syntax == ATT for state in self._states)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a stretch of text in which the state does not change."""
        for position in self._positions[bisect_right(self._positions, start):]:
            if position >= end:
                break
            yield start, position
            start = position
        yield start, end

    def at(self, offset: int) -> State:
        return self._states[bisect_right(self._positions, offset)]
