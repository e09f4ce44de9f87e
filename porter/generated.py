"""Scripts that write assembly: what they print cannot be ported here, so it is found and reported."""

from __future__ import annotations

import re

from porter.classify import classify
from porter.model import ATT, INTEL, Sensitive, Site
from porter.rewrite import Lines
from porter.syntax import UnexpectedInput, parse_statements

_PRINTED = re.compile(r"""(["'])[ \t]+(?P<text>[a-z][^"'\n]*?)(?:\\n)?\1""")
_REASON = "assembly that a script writes: port it at the assembler stage, with `ring3 cc` or `ring3 as`"


def _sensitive(text: str) -> list[Sensitive]:
    """What is sensitive in a text of whichever syntax."""
    for syntax in (ATT, INTEL):
        try:
            decided = (classify(statement, text, syntax=syntax) for statement in parse_statements(text, syntax.intel))
            found = [item for item in decided if item]
        except UnexpectedInput:
            continue
        if found:
            return found
    return []


def port_generator(text: str, name: str) -> tuple[Site, ...]:
    """The sensitive instructions that a script seems to print, as a statement in a string of its own."""
    lines = Lines(text)
    sites: list[Site] = []
    for match in _PRINTED.finditer(text):
        for item in _sensitive(match["text"].replace("\\n", "\n").replace("\\t", "\t")):
            item = item._replace(macro="", changes=(), reason=_REASON)
            sites.append(Site(name, *lines(match.start("text")), match["text"], item))
    return tuple(sites)
