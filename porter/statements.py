"""The sensitive statements of a piece of assembler text, by parsing it or by having parsed it before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from porter.memo import remembered
from porter.model import ATT, RESOLVE, Change, Part, Sensitive, Site, Syntax

_Plain = tuple[Any, ...]


class Unparsable(Exception):
    """A piece of text is not assembler source. `position` is the offset where it stops making sense."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


def _parse(piece: str, template: bool, syntax: Syntax) -> tuple[_Plain, ...]:
    """The decisions about a piece, as plain tuples, which are all that `marshal` takes."""
    from porter.classify import classify
    from porter.syntax import UnexpectedInput, parse_statements

    try:
        statements = parse_statements(piece, syntax.intel)
    except UnexpectedInput as error:
        raise Unparsable(max(error.pos_in_stream or 0, 0)) from None
    decided = (classify(statement, piece, template, syntax) for statement in statements)
    return tuple(
        (*item[:5], tuple((start, end, tuple(tuple(part) for part in parts)) for start, end, parts in item.changes),
         item.reason)
        for item in decided if item)


def decide(piece: str, template: bool = False, syntax: Syntax = ATT) -> tuple[Sensitive, ...]:
    """The sensitive statements in `piece`, which must hold whole statements; offsets are into it.

    `template`: the text is that of an extended asm statement in C, where a single % is an operand.
    Raises Unparsable.
    """
    known = remembered((piece, template, *syntax), lambda: _parse(piece, template, syntax))
    return tuple(
        Sensitive(start, end, labels, key, macro,
                  tuple(Change(first, last, tuple(Part(*part) for part in parts))
                        for first, last, parts in changes), reason, syntax)
        for start, end, labels, key, macro, changes, reason in known)


def macro_text(sites: Iterable[Site]) -> str:
    """The GAS macros that ported text needs in front of it."""
    # For most texts one of few: the family of each macro is enough, but for those that come apart from it.
    needed = sorted({macro if macro.endswith("_resolve") else macro[:macro.index("_") + 1]
                     for macro in (site.item.macro for site in sites if site.item.changes)})
    if "r3_" in needed and RESOLVE not in needed:
        needed.append(RESOLVE)  # as the program in stage/ has them, which cannot tell

    def make() -> str:
        from porter.macro_files import include

        return include(needed)

    return remembered(("macros", *needed), make)
