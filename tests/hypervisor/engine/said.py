"""What a test expects of a guest's `expect` lines (prelude.S), and of its tasks (`TASKS` in pieces.py)."""

from __future__ import annotations

DE, DB, BP, OF, BR, UD, NM, DF, TS, NP, SS, GP, PF, MF, AC, XM = 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 19
NONE = 0xFFFF_FFFF
DONE = 0x40  # the vector by which prelude.S leaves an outer ring

OLD, NEW = 0x28, 0x30  # the selectors of the prelude's TSS and of the first free descriptor
FREE_TSS, BUSY_TSS = 9, 0xB  # types of 32-bit TSSs, as `busy` says them


def fault(name: str, vector: int, error: int = 0, at: int = 0) -> dict[str, int]:
    """A trap with its error code; EIP points `at` bytes behind the instruction's start."""
    return {name: vector, f"{name}.error": error, f"{name}.at": at}


def none(name: str) -> dict[str, int]:
    """No trap."""
    return {name: NONE, f"{name}.error": 0, f"{name}.at": 0}


def without_place(said: dict[str, int]) -> dict[str, int]:
    """Leave out where traps pointed to, for instructions that ported code does by several."""
    return {name: value for name, value in said.items() if not name.endswith(".at")}
