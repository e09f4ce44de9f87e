"""Files that an assembly text brings in with ``.include``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from porter.asm_port import port_assembly
from porter.assembler import read_text
from porter.rewrite import Ported

_DEEPEST = 20  # files that include each other end here; the assembler then says so
_INCLUDE = re.compile(r'^[ \t]*\.include[ \t]+"([^"\n]+)"[^\n]*', re.MULTILINE)


def port_with_includes(text: str, name: str, include_path: Sequence[str], depth: int = 0) -> Ported:
    """Port a text, and write in place of each `.include` whose file changes by it the ported file.

    Line markers around it keep the lines of both. Raises PortError.
    """
    ported = port_assembly(text, name)
    if ".include" not in text or depth == _DEEPEST:
        return ported
    sites = list(ported.sites)

    def include(match: re.Match[str]) -> str:
        places = [match[1], *(os.path.join(directory, match[1]) for directory in include_path)]
        path = next((place for place in places if os.path.isfile(place)), None)
        if path is None:
            return match[0]  # the assembler says so itself
        original = read_text(path)
        inner = port_with_includes(original, path, include_path, depth + 1)
        sites.extend(inner.sites)
        if inner.text == original:
            return match[0]
        line = ported.text.count("\n", 0, match.start()) + 2
        return f'# 1 "{path}"\n{inner.text}\n# {line} "{name}"'

    return Ported(_INCLUDE.sub(include, ported.text), tuple(sites))
