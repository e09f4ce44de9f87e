"""Scripts that write assembly: what they print cannot be ported here, so it is found and reported."""

from __future__ import annotations

import re

from porter.classify import classify
from porter.model import Site
from porter.rewrite import Lines
from porter.syntax import UnexpectedInput, parse_statements

_PRINTED = re.compile(r"""(["'])[ \t]+(?P<text>[a-z][^"'\n]*?)(?:\\n)?\1""")
_REASON = "assembly that a script writes: port it at the assembler stage, with `ring3 cc` or `ring3 as`"


def port_generator(text: str, name: str) -> tuple[Site, ...]:
    """The sensitive instructions that a script seems to print, as a statement in a string of its own."""
    lines = Lines(text)
    sites: list[Site] = []
    for match in _PRINTED.finditer(text):
        try:
            statements = parse_statements(match["text"].replace("\\n", "\n").replace("\\t", "\t"))
        except UnexpectedInput:
            continue
        for statement in statements:
            item = classify(statement, match["text"])
            if item:
                item = item._replace(macro="", changes=(), reason=_REASON)
                sites.append(Site(name, *lines(match.start("text")), match["text"], item))
    return tuple(sites)
