"""Unified diffs that `patch -p1` and `git apply` take."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

_NO_NEWLINE = "\\ No newline at end of file\n"


def _complete(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}"


def _lines(text: str) -> list[str]:
    # Not splitlines(): a form feed or a lone carriage return ends no line of a patch.
    return [line + "\n" for line in text.split("\n")[:-1]] + ([text.rpartition("\n")[2]] if text[-1:] != "\n" else [])


def unified(changed: Mapping[str, tuple[str, str]], added: Mapping[str, str]) -> str:
    """The patch from the trees' texts before to those after; `added` are files that were not there."""
    out: list[str] = []
    for path, (before, after) in sorted(changed.items()):
        out += _complete(difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}"))
    for path, text in sorted(added.items()):
        out += _complete(difflib.unified_diff([], _lines(text), "/dev/null", f"b/{path}"))
    return "".join(out)
