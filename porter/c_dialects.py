"""The two dialects of inline assembly: ``{att|intel}`` in a template, and templates that are written for one.

GCC and Clang take one of the alternatives by ``-masm`` (GCC manual, "Multiple assembler dialects in asm
templates"). A template without alternatives says nothing of its dialect but by its text: the command line has the
rest, which a source tree does not show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from porter.c_template import Template, Unwritable
from porter.evident import syntax_of
from porter.model import ATT, EITHER, INTEL, Sensitive, Syntax, in_family
from porter.rewrite import Edit

SYNTAXES = (ATT, INTEL)  # in the order of alternatives


class Evidence(NamedTuple):
    """What templates show of the dialects that they are compiled for: `syntaxes` of those that do in one only."""

    syntaxes: frozenset[Syntax] = frozenset()
    alternatives: bool = False

    def __or__(self, other: Evidence) -> Evidence:
        return Evidence(self.syntaxes | other.syntaxes, self.alternatives or other.alternatives)


def evidence(templates: Iterable[Template]) -> Evidence:
    """What some templates show."""
    found = Evidence()
    for template in templates:
        own = None if template.has_alternatives else syntax_of(template.text)
        found |= Evidence(frozenset({own} if own else ()), template.shows_both)
    return found


def choose(template: Template, *known: Evidence) -> Sequence[Syntax]:
    """The syntaxes that a template is for: its own, or else by the first of `known` that says anything.

    Where others have alternatives, it is for both.
    """
    if template.has_alternatives:
        return SYNTAXES
    own = syntax_of(template.text)
    if own:
        return (own,)
    for some in known:
        if some.alternatives:
            return SYNTAXES
        if some.syntaxes:
            return tuple(syntax for syntax in SYNTAXES if syntax in some.syntaxes)
    return (ATT,)


def in_either(pair: Sequence[tuple[Template, Sensitive]], source: str) -> list[Edit]:
    """The edits that port a statement of a template without operands, which has no alternatives, for both dialects.

    `pair` is the statement as each has it. Raises Unwritable where its macros do not take the same text.
    """
    first, second = ([edit for change in item.changes for edit in view.edits(change, source)] for view, item in pair)
    if second != [edit._replace(text=in_family(edit.text, INTEL)) for edit in first]:
        raise Unwritable
    return [edit._replace(text=edit.text.replace("r3_", f"{EITHER} ", 1)) for edit in first]


class _Statement:
    """A ported statement of one view, by its place in the template with alternatives."""

    def __init__(self, view: Template, item: Sensitive) -> None:
        self.view, self.item = view, item
        start = min(item.start, *(change.start for change in item.changes))
        end = max(item.end, *(change.end for change in item.changes))
        self.start, self.end, self.inside = view.place(start, end)


def merged(template: Template, ported: Sequence[tuple[Template, Sequence[Sensitive]]], source: str) -> list[Edit]:
    """The edits to the C source that port the views of a template at once. Raises Unwritable.

    A statement within an alternative is ported there. One that both dialects share gets alternatives.
    """
    edits: list[Edit] = []
    shared: list[_Statement] = []
    for view, items in ported:
        for item in items:
            statement = _Statement(view, item)
            if statement.inside:
                edits += [edit for change in item.changes for edit in view.edits(change, source)]
            else:
                shared.append(statement)
    shared.sort(key=lambda statement: statement.start)
    while shared:
        cluster = [shared.pop(0)]
        end = cluster[0].end
        while shared and shared[0].start < end:
            end = max(end, shared[0].end)
            cluster.append(shared.pop(0))
        edits += _shared(template, [view for view, _ in ported], cluster, end, source)
    return edits


def _shared(template: Template, views: Sequence[Template], cluster: Sequence[_Statement], end: int,
            source: str) -> list[Edit]:
    start = cluster[0].start
    changes = [[change for statement in cluster if statement.view is view for change in statement.item.changes]
               for view in views]
    if not template.alternatives_within(start, end):
        # The same text in both: if the same parts of it change, only those need alternatives.
        first, second = ([edit for change in some for edit in view.edits(change, source)]
                         for view, some in zip(views, changes, strict=True))
        if [edit[:2] for edit in first] == [edit[:2] for edit in second]:
            return [Edit(a.start, a.end, a.text if a.text == b.text else f"{{{a.text}|{b.text}}}")
                    for a, b in zip(first, second, strict=True)]
    texts = [view.rewritten(start, end, some, source) for view, some in zip(views, changes, strict=True)]
    return [Edit(*template.source_bounds(start, end), f"{{{'|'.join(texts)}}}")]
