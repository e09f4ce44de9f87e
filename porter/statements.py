"""The sensitive statements of a piece of assembler text, by parsing it or by having parsed it before."""

from __future__ import annotations

from typing import Any

from porter.memo import remembered
from porter.model import Change, Part, Sensitive

_Plain = tuple[Any, ...]


class Unparsable(Exception):
    """A piece of text is not assembler source. `position` is the offset where it stops making sense."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def _parse(piece: str, template: bool) -> tuple[_Plain, ...]:
    """The decisions about a piece, as plain tuples, which are all that `marshal` takes."""
    from porter.classify import classify
    from porter.syntax import UnexpectedInput, parse_statements

    try:
        statements = parse_statements(piece)
    except UnexpectedInput as error:
        raise Unparsable(max(error.pos_in_stream or 0, 0)) from None
    decided = (classify(statement, piece, template) for statement in statements)
    return tuple(
        (*item[:5], tuple((start, end, tuple(tuple(part) for part in parts)) for start, end, parts in item.changes),
         *item[6:])
        for item in decided if item)


def decide(piece: str, template: bool = False) -> tuple[Sensitive, ...]:
    """The sensitive statements in `piece`, which must hold whole statements; offsets are into it.

    `template`: the text is that of an extended asm statement in C, where a single % is an operand.
    Raises Unparsable.
    """
    known = remembered((piece, template), lambda: _parse(piece, template))
    return tuple(
        Sensitive(start, end, labels, key, macro,
                  tuple(Change(first, last, tuple(Part(*part) for part in parts))
                        for first, last, parts in changes), reason, string)
        for start, end, labels, key, macro, changes, reason, string in known)


def _gas_macros() -> str:
    from hypercalls import gas
    from porter import resolve

    return gas.macros() + resolve.macros()


def macro_text() -> str:
    """The GAS macros that ported text needs in front of it."""
    return remembered("macros", _gas_macros)
