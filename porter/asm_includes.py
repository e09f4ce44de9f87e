"""Files that an assembly text brings in with ``.include``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from porter.asm_port import port_assembly
from porter.assembler import read_text
from porter.model import ATT, Syntax
from porter.rewrite import Ported

_DEEPEST = 20  # files that include each other end here; the assembler then says so
_INCLUDE = re.compile(r'^[ \t]*\.include[ \t]+"([^"\n]+)"[^\n]*', re.MULTILINE)


def _expanded(text: str, name: str, include_path: Sequence[str], depth: int = 0) -> str:
    """`text` with each file that it includes in place of its `.include`. Line markers keep the lines of both."""
    if depth == _DEEPEST:
        return text

    def include(match: re.Match[str]) -> str:
        places = [match[1], *(os.path.join(directory, match[1]) for directory in include_path)]
        path = next((place for place in places if os.path.isfile(place)), None)
        if path is None:
            return match[0]  # the assembler says so itself
        line = text.count("\n", 0, match.start()) + 2
        inner = _expanded(read_text(path), path, include_path, depth + 1)
        return f'# 1 "{path}"\n{inner}\n# {line} "{name}"'

    return _INCLUDE.sub(include, text)


def port_with_includes(text: str, name: str, include_path: Sequence[str], syntax: Syntax = ATT) -> Ported:
    """Port a text and all that it includes as one: a macro or directive of one file may count in another.

    Nothing of it is changed where nothing is sensitive. Raises PortError.
    """
    if ".include" not in text:
        return port_assembly(text, name, syntax)
    whole = _expanded(text, name, include_path)
    ported = port_assembly(whole, name, syntax)
    return ported if ported.text != whole else Ported(text, ported.sites)
