"""Operations written as two statements: ``sti; hlt``, and a prefix on its own as in ``rep; insl``."""

from __future__ import annotations

import re
from typing import NamedTuple

from porter.classify import Change, Decision, Part, classify
from porter.syntax import Atom, Statement

# What may stand between two statements that execute one after the other: separators, comments, line
# markers, debug directives, and labels that compilers emit for debug information only.
_BETWEEN = re.compile(
    r"(?:[ \t\r\n;]|\#[^\n]*|/\*.*?\*/|\.(?:loc|cfi_\w+|stabn)[^\n;]*"
    r"|\.L(?:VL|BB|BE|FB|FE|M|SM|FSB|CFI|tmp)\d+:)*", re.DOTALL)
_LONE_PREFIX = re.compile(r"(?:\A|[\n;:])[ \t]*(rep(?:n?[ez])?|[c-gs]s)([ \t]*[;\n][\s;]*)\Z", re.IGNORECASE)
_REACH = 200  # how far in front of a string instruction its prefix is looked for, in characters


class Found(NamedTuple):
    """A sensitive statement and what becomes of it."""

    statement: Statement
    decision: Decision


def _joined(item: Found, text: str, template: bool) -> Found:
    """Take in a prefix that is a statement of its own."""
    statement = item.statement
    if not item.decision.row.string or statement.labels:
        return item
    before = text[max(0, statement.start - _REACH):statement.start]
    match = _LONE_PREFIX.search(before)
    if not match:
        return item
    start = statement.start - len(before) + match.start(1)
    # On one line the separator goes too; on two lines both lines stay.
    gap = match[2].partition("\n")[0].rstrip() if "\n" in match[2] else match[2]
    prefix = Atom("PREFIX", match[1], statement.start, statement.start)
    whole = statement._replace(leads=(prefix, *statement.leads))
    decision = classify(whole, text, template)
    if decision is None or not decision.changes:
        return item
    removal = Change(start, start + len(match[1]) + len(gap), (Part(),))
    return Found(statement, decision._replace(changes=(removal, *decision.changes)))


def _is_pair(first: Found, second: Found, text: str) -> bool:
    if (first.decision.macro, second.decision.macro) != ("r3_sti", "r3_hlt"):
        return False
    if second.statement.labels and not _BETWEEN.fullmatch("".join(label.text for label in second.statement.labels)):
        return False
    gap = text[first.statement.end:second.statement.start]
    return bool(_BETWEEN.fullmatch(gap)) and (";" in gap or "\n" in gap)


def combine(found: list[Found], text: str, template: bool = False) -> list[Found]:
    """Make one operation of each pair of statements that is one.

    ``sti; hlt`` is atomic (SDM volume 2, STI): two hypercalls would lose the wake-up in between. The
    number of lines does not change.
    """
    items = [_joined(item, text, template) for item in found]
    for index in range(len(items) - 1):
        first, second = items[index], items[index + 1]
        if not _is_pair(first, second, text):
            continue
        start, end = first.statement.end, second.statement.end
        rest = start if "\n" not in text[start:end] else second.statement.start
        fused = Change(first.statement.start, start, (Part("r3_sti_hlt"),))
        items[index] = Found(first.statement, first.decision._replace(macro="r3_sti_hlt", changes=(fused,)))
        items[index + 1] = Found(second.statement, second.decision._replace(
            macro="r3_sti_hlt", changes=(Change(rest, end, (Part(),)),)))
    return items
