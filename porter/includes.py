"""Adding the header with the macros to a file that came to need it."""

from __future__ import annotations

import re

# What may stand in front of a file's own text: blank lines, comments, include guards, includes.
_LEAD = re.compile(
    r"(?P<include>[ \t]*\#[ \t]*include\b[^\n]*\n)"
    r"|(?P<blank>[ \t\r]*\n)"
    r"|(?P<comment>[ \t]*(?:/\*.*?\*/[ \t\r]*|//[^\n]*|\#(?![ \t]*(?:include|define|if|ifdef|ifndef|undef|pragma|else"
    r"|elif|endif|error|warning|line)\b)[^\n]*)\n)"
    r"|(?P<guard>[ \t]*\#[ \t]*(?:pragma[ \t]+once[^\n]*|ifndef[ \t]+(?P<name>\w+)[^\n]*\n"
    r"(?:[ \t\r]*\n)*[ \t]*\#[ \t]*define[ \t]+(?P=name)[^\n]*)\n)",
    re.DOTALL)


def with_include(text: str, header: str, directive: str = "#include") -> str:
    """`text` with one more include, after those at its top, or else in front of its first line of code."""
    position, target = 0, None
    while match := _LEAD.match(text, position):
        position = match.end()
        if match["include"]:
            target = position
    if target is None:
        target = position
    newline = "\r\n" if "\r\n" in text[:target + 200] else "\n"
    line = f'{directive} "{header}"{newline}'
    if line in text:
        return text
    after_include = text[:target].rstrip("\r\n").rpartition("\n")[2].lstrip().startswith(("#include", "# include"))
    gap = "" if after_include else newline
    return f"{text[:target]}{line}{gap}{text[target:]}"
