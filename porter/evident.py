"""Which syntax a text is written in that nothing but itself tells: what only its build knows.

The assembler's stage never asks: there, options and directives say it.
"""

from __future__ import annotations

import re

from porter.model import ATT, INTEL, Syntax

_SWITCH = re.compile(r"\.(intel|att)_syntax\b(?:[ \t]+(\w+))?", re.IGNORECASE)
_INSTRUCTION = re.compile(r"^(?=[ \t]*(?:[\w.$]+:[ \t]*)*[a-z])", re.MULTILINE | re.IGNORECASE)
_COMMENT = re.compile(r"#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_REGISTER = r"(?:e?[abcd]x|[abcd][hl]|e?[sd]i|e?bp|esp|[c-gs]s|cr\d|d[rb]\d)\b"  # but sp, which others have too
# What shows a syntax, the surest first.
_SIGNS = tuple((re.compile(pattern, re.IGNORECASE), syntax) for pattern, syntax in (
    (r"\b(?:byte|d?word|fword|far)[ \t]+ptr\b", INTEL),
    (rf"%[ \t]*{_REGISTER}|%%[a-z\2]|\$[\w(%-]|\(%|,\s*%\w+\)", ATT),
    (r"(?<![\w%.$@\\])(?:e[abcd]x|e[sd]i|e[sb]p)\b", INTEL),
    # Names that another processor may have count where an instruction has them as an operand.
    (r"(?:\A|[;\n])[ \t]*(?:mov|push|pop|inb?|outb?|lar|lsl|xchg|add|and|or|xor|ltr|lldt)[ \t]+(?:[^;\n]*,[ \t]*)?"
     rf"(?<![\w%.$@\\]){_REGISTER}[ \t]*(?:[,;\n]|\Z)", INTEL),
    (r"\b(?:mov|push|pop|add|sub|and|or|xor|cmp|test|lea|in|out|inc|dec)[bwl]\b"
     r"|\b(?:pushf|popf|iret|lret|ins|outs)l\b", ATT),
))


def syntax_of(text: str) -> Syntax | None:
    """The syntax that assembler text is written in, up to a directive that says; None where it would do in either."""
    first = _SWITCH.search(text)
    text = _COMMENT.sub("", text[:first.start()] if first else text)
    return next((syntax for pattern, syntax in _SIGNS if pattern.search(text)), None)


def start_syntax(text: str, source: str, default: Syntax) -> Syntax:
    """The syntax in which a source file starts: its text shows it, or else it is `default`.

    `source` is the text as the preprocessor gets it. What is defined in front of the first directive is most
    likely used behind it; instructions there would be in AT&T syntax, in which the assembler starts.
    """
    own = syntax_of(text)
    first = _SWITCH.search(text)
    if own or not first or any(not source[line.start():].startswith("#")
                               for line in _INSTRUCTION.finditer(text, 0, first.start())):
        return own or default
    return Syntax(first[1].lower() == "intel", (first[2] or "").lower() == "noprefix")
