"""Coverage summed up: by form, and by place, function, file or operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hypervisor.coverage.format import FORMS, USER_RING, Coverage, Place

UNKNOWN = "(not known)"


@dataclass
class Row:
    """Places that have a name in common: how many there are and how many of them ran, and what they did, together."""

    name: str
    form: str
    places: int = 0
    ran: int = 0
    count: int = 0
    exits: int = 0
    nanoseconds: float = 0.0

    def add(self, place: Place) -> None:
        """Count a place in."""
        self.places += 1
        self.ran += place.count > 0
        self.count += place.count
        self.exits += place.exits
        self.nanoseconds += place.nanoseconds


def source(place: Place) -> str:
    """`file:line` as the compiler was given it; of inlined code, of the outermost call. '' if nothing tells."""
    file, line = place.callers[-1] if place.callers else (place.file, place.line)
    return f"{file}:{line}" if file else ""


def where(place: Place) -> str:
    """Symbol and source line, or the bare address; user programs have only that."""
    if place.ring == USER_RING:
        return f"user {place.address:#010x}"
    return " ".join(filter(None, (place.symbol or f"{place.address:#010x}", source(place))))


NAMES: dict[str, Callable[[Place], str]] = {
    "place": lambda place: f"{place.operation} at {where(place)}",
    "function": lambda place: place.symbol.partition("+")[0] or (
        "(user programs)" if place.ring == USER_RING else UNKNOWN),
    "file": lambda place: place.file or ("(user programs)" if place.ring == USER_RING else UNKNOWN),
    "operation": lambda place: place.operation,
}  # fmt: skip


def rows(places: Iterable[Place], by: str) -> list[Row]:
    """Sums by what NAMES[by] calls the places and by form; the costliest first."""
    found: dict[tuple[str, str], Row] = {}
    for place in places:
        key = NAMES[by](place), place.form
        found.setdefault(key, Row(*key)).add(place)
    return sorted(found.values(), key=lambda row: (-row.nanoseconds, -row.count, row.name, row.form))


def forms(coverage: Coverage) -> list[Row]:
    """The kernel's sites by form, the last row all together."""
    found = {form: Row(form, form) for form in (*FORMS, "all")}
    for place in coverage.sites:
        found[place.form].add(place)
        found["all"].add(place)
    return [row for row in found.values() if row.places or row.form == "all"]
