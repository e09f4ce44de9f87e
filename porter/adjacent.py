"""Operations written as two statements: ``sti; hlt``, and prefixes on their own as in ``rep; insl``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from porter.comments import without_comments
from porter.model import Change, Part, Sensitive, in_family
from porter.prefixes import BYTES as PREFIX_BYTES
from porter.prefixes import NAMES as PREFIX_NAMES
from porter.statements import decide

# What may stand between two statements that execute one after the other: separators, comments, line
# markers, debug directives, and labels that compilers emit for debug information only.
_BETWEEN = re.compile(
    r"(?:[ \t\r\n;]|\#[^\n]*|/\*.*?\*/|\.(?:loc|cfi_\w+|stabn)[^\n;]*"
    r"|\.L(?:VL|BB|BE|FB|FE|M|SM|FSB|CFI|tmp)\d+:)*", re.DOTALL)
_GAP = r"[ \t]*[;\n][\s;]*"
_LONE_PREFIXES = re.compile(rf"(?:\A|[\n;:])[ \t]*(?P<all>(?:(?:{PREFIX_NAMES}){_GAP})+)\Z", re.IGNORECASE)
_EACH_PREFIX = re.compile(rf"(?P<prefix>{PREFIX_NAMES})(?P<gap>{_GAP})", re.IGNORECASE)
# A prefix byte as data.
_PREFIX_BYTE = re.compile(rf"\.byte\b[^\n;]*[ \t,](?:{'|'.join(PREFIX_BYTES)}){_GAP}\Z", re.IGNORECASE)
_REACH = 200  # how far in front of an instruction its prefixes are looked for, in characters


def _joined(item: Sensitive, text: str, template: bool) -> Sensitive:
    """Take in the prefixes that are statements of their own: left there, they would be on the replacement."""
    if not item.changes:
        return item
    first = max(0, item.start - _REACH)
    before = without_comments(text[first:item.start])
    if item.labels:
        label = before.rstrip().removesuffix(item.labels.rstrip())
        apart = label != before.rstrip() and (_LONE_PREFIXES.search(label) or _PREFIX_BYTE.search(label))
        return item.left("its prefix is in front of its label: write it behind") if apart else item
    if _PREFIX_BYTE.search(before):
        return item.left("the byte in front of it is a prefix: write it by its name")
    match = _LONE_PREFIXES.search(before)
    if not match:
        return item
    removals = []
    prefixes = []
    for lone in _EACH_PREFIX.finditer(before, match.start("all")):
        # On one line the separator goes too; on two lines both lines stay.
        gap = lone["gap"]
        removed = gap.partition("\n")[0].rstrip() if "\n" in gap else gap
        start = first + lone.start("prefix")
        removals.append(Change(start, start + len(lone["prefix"]) + len(removed), (Part(),)))
        prefixes.append(lone["prefix"])
    decided = decide(f"{' '.join(prefixes)} {text[item.start:item.end]}", template, item.syntax)
    if len(decided) != 1:
        return item.left("its prefix is a statement of its own: write both as one")
    by = item.start - len(" ".join(prefixes)) - 1
    whole = decided[0].shifted(by)._replace(start=item.start)
    if not whole.changes:
        return whole
    head, *rest = whole.changes
    return whole._replace(changes=(*removals, Change(item.start, head.end, head.parts), *rest))


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
