"""The language in which records are chosen, from text to nodes: `expression.lark` is its grammar.

docs/tracing.md tells how it is used.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib.resources import files
from typing import Any

import lark

from hypervisor.trace.columns import NUMBER_FIELDS, TEXT_FIELDS
from hypervisor.trace.expression import (
    OPERATORS,
    AllOf,
    AnyOf,
    Inverse,
    Named,
    Node,
    NumberComparison,
    TextComparison,
)
from hypervisor.trace.format import TraceError
from hypervisor.trace.terms import term

_UNITS = {
    "latency": ({"": 1.0, "ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}, "nanoseconds"),
    "time": ({"": 1.0, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}, "seconds"),
}
_NUMBER = re.compile(r"(-?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?(?:[eE]-?[0-9]+)?))([a-z]*)")
_TEXT_OPERATORS = ("~", "!~", "==", "!=")


class _Build(lark.Transformer[lark.Token, Node]):
    """Nodes from the grammar's rules."""

    def any_of(self, parts: list[Any]) -> Node:
        nodes = tuple(part for part in parts if isinstance(part, Node))
        return AnyOf(nodes) if len(nodes) > 1 else nodes[0]

    def all_of(self, parts: list[Any]) -> Node:
        nodes = tuple(part for part in parts if isinstance(part, Node))
        return AllOf(nodes) if len(nodes) > 1 else nodes[0]

    def inverse(self, parts: list[Any]) -> Node:
        return Inverse(parts[-1])

    def bare(self, parts: list[Any]) -> Node:
        return Named(term(str(parts[0]), None))

    def named(self, parts: list[Any]) -> Node:
        return Named(term(str(parts[0]), _unquoted(parts[1])))

    def comparison(self, parts: list[Any]) -> Node:
        field, operation, value = str(parts[0]).lower(), str(parts[1]), _unquoted(parts[2])
        if field in TEXT_FIELDS:
            if operation not in _TEXT_OPERATORS:
                raise TraceError(f"'{field}' is a text, for which there are {' '.join(_TEXT_OPERATORS)}")
            return TextComparison(field, not operation.startswith("!"), value)
        if field not in NUMBER_FIELDS:
            fields = [*NUMBER_FIELDS, *TEXT_FIELDS]
            near = difflib.get_close_matches(field, fields, 3)
            remedy = f"perhaps {' or '.join(near)}" if near else f"there are {', '.join(fields)}"
            raise TraceError(f"records have no field '{field}'; {remedy}")
        if operation not in OPERATORS:
            raise TraceError(f"'{field}' is a number, for which there are {' '.join(OPERATORS)}")
        return NumberComparison(field, operation, _number(field, value))

    def start(self, parts: list[Any]) -> Node:
        node: Node = parts[0]
        return node


def _unquoted(value: str) -> str:
    return value[1:-1] if value.startswith('"') else str(value)


def _number(field: str, text: str) -> float:
    units, unit = _UNITS.get(field, ({"": 1.0}, ""))
    found = _NUMBER.fullmatch(text)
    if not found or found[2] not in units:
        example = " with ns, us, ms or s" if unit else ", decimal or with 0x"
        raise TraceError(f"'{text}' is no value for '{field}'; write a number{example}")
    digits = found[1]
    return (int(digits, 16) if "x" in digits.lower() else float(digits)) * units[found[2]]


@cache
def _parser() -> lark.Lark:
    grammar = files("hypervisor.trace").joinpath("expression.lark").read_text()
    return lark.Lark(grammar, parser="lalr", maybe_placeholders=False)


def parse(text: str) -> Node:
    """The tree of an expression. TraceError, with the place, where it cannot be understood."""
    try:
        tree = _parser().parse(text)
        return _Build().transform(tree)
    except lark.exceptions.VisitError as error:
        if isinstance(error.orig_exc, TraceError):
            raise TraceError(f"in '{text}': {error.orig_exc}") from None
        raise
    except lark.exceptions.UnexpectedInput as error:
        ended = isinstance(error, lark.UnexpectedToken) and error.token.type == "$END"
        place = "its end" if ended else f"column {error.column}"
        raise TraceError(f"'{text}' cannot be understood at {place}; write for example "
                         "'port:0x3f8 and latency > 10us'") from None  # fmt: skip
