"""Unified diffs that `patch -p1` and `git apply` take.

A port changes few lines and moves none, but for an include at the top. So lines are compared one by one, which
takes a hundredth of the time that a search for moved text does, and shows the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_NO_NEWLINE = "\\ No newline at end of file\n"
_CONTEXT = 3
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class _Change(NamedTuple):
    """Lines [start, end) of the text before become lines [first, last) of the text after."""

    start: int
    end: int
    first: int
    last: int


def _lines(text: str) -> list[str]:
    # Not splitlines(): a form feed or a lone carriage return ends no line of a patch.
    return [line + "\n" for line in text.split("\n")[:-1]] + ([text.rpartition("\n")[2]] if text[-1:] != "\n" else [])


def _changes(before: Sequence[str], after: Sequence[str]) -> list[_Change]:
    head = 0
    shortest = min(len(before), len(after))
    while head < shortest and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shortest - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    stop, added = len(before) - tail, len(after) - len(before)
    if added < 0 or stop < head:
        return [_Change(head, stop, head, len(after) - tail)]
    changes = [_Change(head, head, head, head + added)] if added else []
    for at in range(head, stop):
        if before[at] == after[at + added]:
            continue
        last = changes[-1] if changes else None
        if last and last.end == at:
            changes[-1] = last._replace(end=at + 1, last=at + added + 1)
        else:
            changes.append(_Change(at, at + 1, at + added, at + added + 1))
    return changes


def _hunks(changes: Sequence[_Change]) -> Iterator[list[_Change]]:
    hunk: list[_Change] = []
    for change in changes:
        if hunk and change.start - hunk[-1].end > 2 * _CONTEXT:
            yield hunk
            hunk = []
        hunk.append(change)
    if hunk:
        yield hunk


def _range(start: int, length: int) -> str:
    """Of the form that GNU diff gives it: an empty range is named by the line in front of it."""
    return f"{start + 1 if length else start}" + ("" if length == 1 else f",{length}")


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n{_NO_NEWLINE}"


def _name(side: str, path: str) -> str:
    """A file name as git writes it: quoted where need be, and ended by a tab where it has a blank in it."""
    written = f"{side}/{os.fsencode(path).decode('latin-1')}"
    if any(c in _ESCAPES or not " " <= c <= "~" for c in written):
        escaped = "".join(_ESCAPES.get(c) or (c if " " <= c <= "~" else f"\\{ord(c):03o}") for c in written)
        return f'"{escaped}"'
    return written + "\t" if " " in written else written


def file_patch(path: str, before: str, after: str) -> str:
    """The patch of one file, '' where nothing changes."""
    old, new = _lines(before) if before else [], _lines(after) if after else []
    out = []
    for hunk in _hunks(_changes(old, new)):
        start, first = max(hunk[0].start - _CONTEXT, 0), max(hunk[0].first - _CONTEXT, 0)
        end, last = min(hunk[-1].end + _CONTEXT, len(old)), min(hunk[-1].last + _CONTEXT, len(new))
        out.append(f"@@ -{_range(start, end - start)} +{_range(first, last - first)} @@\n")
        at = start
        for change in hunk:
            out += _marked(" ", old[at:change.start])
            out += _marked("-", old[change.start:change.end])
            out += _marked("+", new[change.first:change.last])
            at = change.end
        out += _marked(" ", old[at:end])
    return f"--- {_name('a', path)}\n+++ {_name('b', path)}\n{''.join(out)}" if out else ""


def new_file_patch(path: str, text: str) -> str:
    """The patch that adds a file."""
    lines = _lines(text)
    return (f"--- /dev/null\n+++ {_name('b', path)}\n@@ -0,0 +{_range(0, len(lines))} @@\n"
            f"{''.join(_marked('+', lines))}")
