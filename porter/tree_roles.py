"""What a file of a tree is where its name does not tell: text for those that include it.

Kernels name parts of C and assembly sources ``.inc``, ``.asm``, ``.def`` and many other ways. Such a file is treated as
what its includer is: as a header by C, as assembly behind the preprocessor by ``#include`` in ``.S``, as plain
assembly by ``.include``. One that is included in several ways is treated as the first of these.
Text that shows to be for GAS is assembly even where nobody includes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from porter.assemblers import GAS, NASM
from porter.tree_files import ADDED, ASSEMBLY, GENERATORS, LINK, SOURCE, C, File, Look

_HEADER, _SOURCE, _ASSEMBLY = ".h", ".S", ".s"
_RANK = {"": 0, _ASSEMBLY: 1, _SOURCE: 2, _HEADER: 3}


def with_roles(files: Iterable[File], looks: Mapping[str, Look],
               look: Callable[[File], Look]) -> tuple[list[File], dict[str, Look]]:
    """The files of a tree with the suffixes by which they are treated, and what is then seen in those that got one.

    `look` looks at a file anew. Raises what that raises.
    """
    found, seen = {file.path: file for file in files}, dict(looks)
    parts: dict[str, list[str]] = {}
    for path, file in found.items():
        if _may_be_part(file, seen[path]):
            parts.setdefault(os.path.basename(path), []).append(path)
    pending = [path for path, file in found.items() if file.source and file.suffix in C | SOURCE | ASSEMBLY]

    def give(path: str, role: str) -> None:
        if _RANK[role] > _RANK[found[path].role]:
            found[path] = found[path]._replace(role=role, source=True)
            seen[path] = look(found[path])
            pending.append(path)

    for path in [path for paths in parts.values() for path in paths if seen[path].assembler == GAS]:
        give(path, _SOURCE if seen[path].includes else _ASSEMBLY)
    while pending:
        includer = found[pending.pop()]
        one = seen[includer.path]
        named = [(_HEADER if includer.suffix in C else _SOURCE, name) for name in one.includes]
        for role, name in [*named, *((_ASSEMBLY, name) for name in one.raw)]:
            for path in parts.get(name, ()):
                give(path, role)
    return list(found.values()), {path: seen[path] for path, file in found.items() if file.role}


def _may_be_part(file: File, seen: Look) -> bool:
    return (file.suffix not in C | SOURCE | ASSEMBLY | GENERATORS and not file.excluded and file.path not in ADDED
            and not seen.digest.startswith(LINK) and seen.assembler != NASM)
