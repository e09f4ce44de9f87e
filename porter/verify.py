"""``ring3 cc --verify``: nothing may be left to port in what a build makes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from porter.check import check
from porter.report import source

_ELF32_I386 = (32, "EM_386")


def _is_ours(path: str) -> bool:
    """Whether a file is i386 code: the same build may make 64-bit programs for the host, and other files."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        try:
            elf = ELFFile(file)
            return (elf.elfclass, elf["e_machine"]) == _ELF32_I386
        except ELFError:
            return False


def verify_files(paths: Iterable[str]) -> int:
    """Tell on standard error what is left to port in files. Returns the exit status: 1 where something is, else 0.

    What is left is no reason to keep the file: it is removed, so that a build does not take it for made.
    """
    status = 0
    for path in filter(_is_ours, paths):
        left = check([path]).of("left")
        for entry in left:
            where = source(entry) or (entry.place and f"{entry.place.section}+{entry.place.address:#x}")
            print(f"{path}: {where}: ring3: `{entry.text}` is left to port", file=sys.stderr)
        if left:
            print(f"ring3: {path}: {len(left)} left to port; removed", file=sys.stderr)
            os.unlink(path)
            status = 1
    return status
