"""Porting assembler source that the C preprocessor has yet to see.

Only the lines that the prefilter points at are parsed, the bodies of ``#define`` among them.
"""

from __future__ import annotations

import re

from porter.asm_text import AssemblyText, names_i386
from porter.comments import blank
from porter.evident import start_syntax
from porter.model import ATT, Syntax
from porter.prefilter import candidates, mentions
from porter.rewrite import Ported

_QUOTED = r"""(?P<quoted>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^\n])'?)"""
_COMMENT = r"""(?P<comment>/\*.*?\*/|//[^\n]*)"""
_LINE_COMMENT = r"(?P<line_comment>\#[^\n]*)"
_LOGICAL_LINE = r"(?:/\*.*?\*/|\\\r?\n|[^\n])*"
_CPP = rf"^[ \t]*\#[ \t]*(?:(?P<define>define[ \t]+\w+(?P<params>\([^)\n]*\))?)|[a-z]+\b){_LOGICAL_LINE}"

_SOURCE_TOKEN = re.compile(f"(?P<cpp>{_CPP})|{_QUOTED}|{_COMMENT}|{_LINE_COMMENT}", re.DOTALL | re.MULTILINE)
_JOINT, _HASH_COMMENT = re.compile(r"\\\r?\n"), re.compile(r"(?<!#)#(?!#).*")
_DEFINE_TOKEN = re.compile(f"{_QUOTED}|{_COMMENT}", re.DOTALL)
# A line that is assembler's and not C's: it names a register or an immediate, or is a bare mnemonic.
_ASSEMBLER_LINE = re.compile(r"[^\n]*(?:%%?[a-z]|\$)|(?:[^\n;]*;)*[ \t]*[a-z]+[ \t]*(?:;|\r?$)", re.MULTILINE)
# The same in Intel syntax, where registers have no sign: one is an operand, or in the brackets of one.
_INTEL_LINE = re.compile(
    r"[^\n]*(?<=[ \t,\[])(?:e?[abcd]x|[abcd][hl]|e?[sd]i|e?[sb]p|[c-gs]s|cr\d|dr\d)"
    r"[ \t]*(?:[],;+*:]|\r?$)", re.MULTILINE | re.IGNORECASE)


def as_assembled(source: str) -> str:
    """What of a ``.S`` source is assembler text, the rest as blanks: same length.

    The body of a ``#define`` is kept, as one line; pasting and stringising become a character that the
    grammar takes for part of a name. Other directives and comments are blanked.
    """

    def token(match: re.Match[str]) -> str:
        if match["quoted"]:
            return match[0]
        if match["define"] is None:
            return blank(match[0])
        head = match.end("define") - match.start()
        body = match[0][head:]
        if "/" in body:
            body = _DEFINE_TOKEN.sub(lambda inner: inner[0] if inner["quoted"] else " " * len(inner[0]), body)
        if "\\" in body:
            body = _JOINT.sub(lambda joint: " " * len(joint[0]), body)
        if match["params"] is None and "#" in body:
            body = _HASH_COMMENT.sub(lambda comment: " " * len(comment[0]), body)
        return " " * head + body.replace("#", "@")

    return _SOURCE_TOKEN.sub(token, source)


def main_syntax(text: str) -> Syntax | None:
    """The syntax of assembler source that is still to be preprocessed; None where it does not show it."""
    clean = as_assembled(text)
    own = start_syntax(clean, text, ATT)
    return own if own != ATT or names_i386(clean) else None


def port_source(text: str, name: str) -> Ported:
    """Port assembler source that is still to be preprocessed, ``#define`` bodies included.

    Raises PortError for sensitive lines that do not parse.
    """
    if not mentions(text):
        return Ported(text)
    clean = as_assembled(text)
    return AssemblyText(name, text, clean, source=True, syntax=start_syntax(clean, text, ATT)).port()


def port_header(text: str, name: str, default: Syntax = ATT) -> Ported:
    """Port the assembler macros of a header that C and assembly share. `default` is the syntax of those that show none.

    What is C in it does not parse or has neither a register nor an immediate in it, and is left alone.
    """
    if not mentions(text):
        return Ported(text)
    clean = as_assembled(text)
    whole = AssemblyText(name, text, clean, lenient=True, syntax=start_syntax(clean, text, default))
    positions = [p for p in candidates(clean, whole.states.only_att)
                 if _ASSEMBLER_LINE.match(clean, clean.rfind("\n", 0, p) + 1)
                 or (whole.states.at(p).syntax.intel and _INTEL_LINE.match(clean, clean.rfind("\n", 0, p) + 1))]
    if not positions:
        return Ported(text)
    return whole.port_lines(positions)
