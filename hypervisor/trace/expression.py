"""What an expression that chooses records becomes: a tree of `Node`, which says yes or no for many records at once.

`grammar.py` makes it of text; `terms` are its words, `columns` its fields.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypervisor.trace.columns import NONE, Columns
from hypervisor.trace.terms import Term

Mask = NDArray[np.bool_]
OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Node(ABC):
    """A part of an expression."""

    @abstractmethod
    def mask(self, columns: Columns) -> Mask:
        """For which records it holds."""


@dataclass(frozen=True)
class AnyOf(Node):
    """Where one of `parts` holds."""

    parts: tuple[Node, ...]

    def mask(self, columns: Columns) -> Mask:
        found: Mask = np.logical_or.reduce([part.mask(columns) for part in self.parts])
        return found


@dataclass(frozen=True)
class AllOf(Node):
    """Where all of `parts` hold."""

    parts: tuple[Node, ...]

    def mask(self, columns: Columns) -> Mask:
        found: Mask = np.logical_and.reduce([part.mask(columns) for part in self.parts])
        return found


@dataclass(frozen=True)
class Inverse(Node):
    """Where `part` does not hold."""

    part: Node

    def mask(self, columns: Columns) -> Mask:
        return ~self.part.mask(columns)


@dataclass(frozen=True)
class Named(Node):
    """A word of the language, with or without a value."""

    term: Term

    def mask(self, columns: Columns) -> Mask:
        return self.term.mask(columns)


@dataclass(frozen=True)
class NumberComparison(Node):
    """A numeric field against a value in the field's unit; false where a record does not have the field."""

    field: str
    operation: str
    value: float

    def mask(self, columns: Columns) -> Mask:
        found = columns.number_field(self.field)
        answer: Mask = OPERATORS[self.operation](found, self.value)
        return answer if self.field == "result" else answer & (found != NONE)


@dataclass(frozen=True)
class TextComparison(Node):
    """A text field against a pattern; case does not matter."""

    field: str
    equal: bool
    pattern: str

    def mask(self, columns: Columns) -> Mask:
        pattern = self.pattern.lower()
        return columns.text_matches(self.field, lambda text: fnmatchcase(text.lower(), pattern) == self.equal)
