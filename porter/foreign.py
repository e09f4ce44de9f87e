"""Assembly for an assembler that there is no door for: found, reported, and left alone."""

from __future__ import annotations

from porter.catalogue_model import Treatment
from porter.model import Site
from porter.nasm_classify import classify
from porter.nasm_program import without_comments
from porter.nasm_text import plain_lines
from porter.rewrite import Lines
from porter.syntax import UnexpectedInput


def port_foreign(text: str, name: str, reason: str) -> tuple[Site, ...]:
    """The sensitive instructions of a text in Intel syntax, as far as lines are as NASM has them, with the reason."""
    lines, clean = Lines(text), without_comments(text)
    sites: list[Site] = []
    for start, end in plain_lines(clean):
        try:
            item = classify(clean[start:end])
        except UnexpectedInput:
            continue
        if item:
            item = (item.left(reason) if item.row.treatment is Treatment.PORT else item).shifted(start)
            sites.append(Site(name, *lines(item.start), clean[item.start:item.end], item))
    return tuple(sites)
