"""The assembler's state along a text: code size, syntax, macro mode."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from porter import prefilter

_CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif|else|endif)\b", re.MULTILINE)


class State(NamedTuple):
    """The assembler's state at one place of a text."""

    bits: str = "32"
    intel: bool = False
    alternate_macros: bool = False


class States:
    """The assembler's state along a text.

    `source`, where the text is still to be preprocessed, tells its conditionals: each branch starts in the
    state in front of the first, and where they end in different ones, 32-bit code is what goes on.
    """

    def __init__(self, text: str, source: str = "") -> None:
        self._positions: list[int] = []
        self._states = [State()]
        branches: list[list[State]] = []  # for each open conditional, the state before it and those at branch ends
        events = [(match.end() - 1, match[1]) for match in prefilter.MODE.finditer("\n" + text.lower())]
        events += [(match.end(), f"#{match[1]}") for match in _CONDITIONAL.finditer(source)]
        for position, word in sorted(events):
            state = self._states[-1]
            if word.startswith("#"):
                state = self._branch(branches, word, state)
            elif word.startswith("code"):
                state = state._replace(bits=word[4:6])
            elif word.endswith("_syntax"):
                state = state._replace(intel=word.startswith("intel"))
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

    def at(self, offset: int) -> State:
        return self._states[bisect_right(self._positions, offset)]
