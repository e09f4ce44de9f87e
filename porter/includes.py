"""Adding the header with the macros to a file that came to need it."""

from __future__ import annotations

import os
import re

from porter.nasm_program import OWN_INCLUDE

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


_NASM_LEAD = re.compile(
    r"[ \t\r]*\n|[ \t]*;(?:\\\r?\n|[^\n])*\n"
    r"|[ \t]*%[ \t]*ifndef[ \t]+(?P<name>\S+)[^\n]*\n(?:[ \t\r]*\n)*[ \t]*%[ \t]*define[ \t]+(?P=name)\b[^\n]*\n",
    re.IGNORECASE)


def with_nasm_include(text: str, path: str, macros: str) -> str:
    """NASM source with the include of the file `macros`, behind the comments and the include guard at its top.

    Both paths are from the top of the tree. NASM looks for includes in the directory that it is run in, not beside the
    file; so the file's own name, as NASM was given it, leads to the macros, wherever a build runs NASM.
    """
    if re.search(rf"^[ \t]*%[ \t]*include[ \t]+{OWN_INCLUDE}\b", text, re.MULTILINE):
        return text
    position = 0
    while match := _NASM_LEAD.match(text, position):
        position = match.end()
    newline = "\r\n" if "\r\n" in text[:position + 200] else "\n"
    folder, name = os.path.split(path)
    lines = (f"%substr {OWN_INCLUDE} __FILE__ 1,-{len(os.fsencode(name)) + 1}",  # NASM manual, "%substr": from the end
             f'%strcat {OWN_INCLUDE} {OWN_INCLUDE},"{os.path.relpath(macros, folder or ".")}"',
             f"%include {OWN_INCLUDE}", "")
    return f"{text[:position]}{newline.join(lines)}{newline}{text[position:]}"
