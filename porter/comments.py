"""Comments of assembler text, which become blanks where only the statements count."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"""(?P<quoted>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^\n])'?)|/\*.*?\*/|//[^\n]*|\#[^\n]*""", re.DOTALL)



def blank(text: str) -> str:
    """`text` as blanks, with its line feeds."""
    return "\n".join(" " * len(line) for line in text.split("\n")) if "\n" in text else " " * len(text)


def without_comments(text: str) -> str:
    """Assembler text with each comment as blanks: same length, same lines."""
    return _TOKEN.sub(lambda match: match[0] if match["quoted"] else blank(match[0]), text)
