"""Porting what is handed to the assembler as it is: a ``.s`` file, or what a compiler wrote."""

from __future__ import annotations

from porter.asm_text import AssemblyText, has_macros
from porter.comments import without_comments
from porter.model import ATT, Syntax
from porter.quickscan import may_be_sensitive
from porter.rewrite import Ported


def port_assembly(text: str, name: str, syntax: Syntax = ATT) -> Ported:
    """Port text that goes to the assembler as it is: a ``.s`` file, or what a compiler wrote.

    `syntax` is the one in which it starts. Raises PortError for sensitive lines that do not parse.
    """
    if not may_be_sensitive(text, syntax == ATT):
        return Ported(text)
    # Comments on one line are the grammar's business, but those that span lines, or follow macro arguments.
    clean = without_comments(text) if "/*" in text or has_macros(text) else text
    clean = clean.replace("\r", " ")  # to the assembler, too
    return AssemblyText(name, text, clean, syntax=syntax).port()
