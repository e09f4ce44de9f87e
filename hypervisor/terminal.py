"""What commands show: a console that suits terminals and pipes, and time spans for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_WIDTH = 200  # columns for tables that nobody sees on a terminal: enough to cut nothing off
_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))


def console() -> Console:
    """Standard output: as it is on a terminal, else wide and plain."""
    from rich.console import Console  # not for those who only want to tell a time

    found = Console(highlight=False, emoji=False)
    return found if found.is_terminal else Console(highlight=False, emoji=False, width=_PLAIN_WIDTH, no_color=True)


def duration(nanoseconds: float) -> str:
    """A time span with its unit, three digits or so: `412 ns`, `1.23 us`."""
    for size, unit in _UNITS:
        if nanoseconds >= size * 0.9995:  # what would be rounded up to the unit
            value = nanoseconds / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{nanoseconds:.0f} ns"
