"""What is to be recorded, as the user says it; `ring_filter` makes of it what the monitor understands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Selection:
    """`only`: an expression for the records; `caller`: globs of functions, separated by commas. Empty: all."""

    only: str = ""
    caller: str = ""
