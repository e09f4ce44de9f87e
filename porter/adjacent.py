"""Operations written as two statements: ``sti; hlt``, and a prefix on its own as in ``rep; insl``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from porter.model import Change, Part, Sensitive, in_family
from porter.statements import decide

# What may stand between two statements that execute one after the other: separators, comments, line
# markers, debug directives, and labels that compilers emit for debug information only.
_BETWEEN = re.compile(
    r"(?:[ \t\r\n;]|\#[^\n]*|/\*.*?\*/|\.(?:loc|cfi_\w+|stabn)[^\n;]*"
    r"|\.L(?:VL|BB|BE|FB|FE|M|SM|FSB|CFI|tmp)\d+:)*", re.DOTALL)
_LONE_PREFIX = re.compile(r"(?:\A|[\n;:])[ \t]*(rep(?:n?[ez])?|[c-gs]s)([ \t]*[;\n][\s;]*)\Z", re.IGNORECASE)
_REACH = 200  # how far in front of a string instruction its prefix is looked for, in characters


def _joined(item: Sensitive, text: str, template: bool) -> Sensitive:
    """Take in a prefix that is a statement of its own."""
    if not item.string or item.labels:
        return item
    before = text[max(0, item.start - _REACH):item.start]
    match = _LONE_PREFIX.search(before)
    if not match:
        return item
    prefix, gap = match[1], match[2]
    # On one line the separator goes too; on two lines both lines stay.
    removed = gap.partition("\n")[0].rstrip() if "\n" in gap else gap
    start = item.start - len(before) + match.start(1)
    removal = Change(start, start + len(prefix) + len(removed), (Part(),))
    (whole,) = decide(f"{prefix} {text[item.start:item.end]}", template, item.syntax)
    if not whole.changes:
        return item._replace(changes=(), reason=whole.reason)
    macro, *segment = [change.parts for change in whole.changes]
    parts = macro + ((Part(" "), *segment[0]) if segment else ())
    return whole._replace(start=item.start, end=item.end, changes=(
        removal, Change(item.start, item.end, parts)))


def _is_pair(first: Sensitive, second: Sensitive, text: str) -> bool:
    gap = text[first.end:second.start]
    return ((first.key, second.key) == ("sti", "hlt") and bool(first.changes and second.changes)
            and bool(_BETWEEN.fullmatch(gap)) and (";" in gap or "\n" in gap))


def combine(items: Sequence[Sensitive], text: str, template: bool = False) -> list[Sensitive]:
    """Make one operation of each pair of statements that is one.

    ``sti; hlt`` is atomic (SDM volume 2, STI): two hypercalls would lose the wake-up in between. The
    number of lines does not change.
    """
    out = [_joined(item, text, template) for item in items]
    for index in range(len(out) - 1):
        first, second = out[index], out[index + 1]
        if not _is_pair(first, second, text):
            continue
        rest = first.end if "\n" not in text[first.end:second.end] else second.start
        both = in_family("r3_sti_hlt", first.syntax)
        fused = Change(first.start, first.end, (Part(both),))
        out[index] = first._replace(macro=both, changes=(fused,))
        out[index + 1] = second._replace(macro=both, changes=(Change(rest, second.end, (Part(),)),))
    return out
