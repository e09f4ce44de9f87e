"""Frames of functions, as compilers make and undo them."""

from __future__ import annotations

from porter.binary.code import CodeMap

_BEGINNINGS = (b"\x55\x89\xe5", b"\x55\x8b\xec")  # push %ebp; mov %esp, %ebp
_ENDS = b"\x5d\xc9"  # pop %ebp; leave
_MOST_BETWEEN = 2  # instructions from there to the return


def makes_frame(code: CodeMap, offset: int) -> bool:
    """Whether what begins there makes a frame first."""
    return code.data.startswith(_BEGINNINGS, offset)


def is_behind_frame(code: CodeMap, offset: int) -> bool:
    """Whether one of the last instructions in front of the return at `offset` undoes a frame."""
    before = code.previous(offset)
    for _ in range(_MOST_BETWEEN):
        if before is None or code.data[before] in _ENDS:
            break
        before = code.previous(before)
    return before is not None and code.data[before] in _ENDS
