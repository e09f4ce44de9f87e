"""What a test expects of a guest's `expect` lines (prelude.S)."""

from __future__ import annotations

DE, DB, BP, OF, BR, UD, NM, DF, TS, NP, SS, GP, PF, AC = 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 17
NONE = 0xFFFF_FFFF
DONE = 0x40  # the vector by which prelude.S leaves an outer ring


def fault(name: str, vector: int, error: int = 0, at: int = 0) -> dict[str, int]:
    """A trap with its error code; EIP points `at` bytes behind the instruction's start."""
    return {name: vector, f"{name}.error": error, f"{name}.at": at}


def none(name: str) -> dict[str, int]:
    """No trap."""
    return {name: NONE, f"{name}.error": 0, f"{name}.at": 0}


def without_place(said: dict[str, int]) -> dict[str, int]:
    """Leave out where traps pointed to, for instructions that ported code does by several."""
    return {name: value for name, value in said.items() if not name.endswith(".at")}
