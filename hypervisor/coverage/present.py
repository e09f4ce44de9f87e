"""Coverage on the terminal and in pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from hypervisor.coverage.format import Coverage, Place
from hypervisor.coverage.listing import Line, Listing
from hypervisor.coverage.tables import Row, forms, rows, where
from hypervisor.terminal import console, duration

NEVER = "#####"  # in place of a count, as gcov has it


def heading(coverage: Coverage) -> str:
    """What was counted."""
    total = forms(coverage)[-1]
    share = f" ({100 * total.ran / total.places:.1f} %)" if total.places else ""
    runs = f"{coverage.runs} run" + ("s" if coverage.runs != 1 else "")
    trapped = sum(place.form == "trap" and place.count > 0 for place in coverage.sites)
    ported = f"; {100 * (1 - trapped / total.ran):.1f} % of these without a trap" if total.ran else ""
    return f"{coverage.kernel}: {total.ran:,} of {total.places:,} sites ran{share} in {runs}{ported}"


def notices(coverage: Coverage) -> list[str]:
    """What limits the figures."""
    lost = coverage.uncounted
    return [f"{lost:,} operations were not counted: the table of places was full"] if lost else []


def print_summary(coverage: Coverage, by: str, most: int) -> None:
    """Sites by form, then what was costliest; `most` rows, 0: all."""
    _print(_table("form", ("sites", "ran"), forms(coverage)))
    ran = [row for row in rows((*coverage.sites, *coverage.elsewhere), by) if row.count]
    shown = ran[:most] if most else ran
    _print(_table(by, ("form",) if by == "place" else ("form", "places", "ran"), shown))
    if len(shown) < len(ran):
        left = sum(row.count for row in ran[len(shown) :])
        print(f"  and {len(ran) - len(shown)} more, {left:,} times (--top 0 shows all)")


def print_never(coverage: Coverage) -> None:
    """The sites that never ran."""
    table = Table(box=None, pad_edge=False)
    for name in ("form", "operation", "where"):
        table.add_column(name)
    for place in sorted((place for place in coverage.sites if not place.count), key=_by_source):
        table.add_row(place.form, Text(place.operation), Text(where(place)))
    _print(table)


def _by_source(place: Place) -> tuple[str, int, int]:
    return place.file, place.line, place.address


def _time(row: Row) -> str:
    """The time that the monitor took; inline forms take none."""
    return duration(row.nanoseconds) if row.nanoseconds else "-"


def _table(name: str, columns: tuple[str, ...], found: Iterable[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console().is_terminal else None, pad_edge=False)
    table.add_column(name)
    for column in columns:
        table.add_column(column, justify="left" if column == "form" else "right")
    for column in ("times", "exits", "time"):
        table.add_column(column, justify="right")
    for row in found:
        cells = {"form": row.form, "sites": f"{row.places:,}", "places": f"{row.places:,}", "ran": f"{row.ran:,}"}
        table.add_row(Text(row.name), *(cells[column] for column in columns), f"{row.count:,}", f"{row.exits:,}",
                      _time(row))
    return table


def _print(table: Table) -> None:
    console().print()
    console().print(table)


def listing_lines(listing: Listing) -> Iterator[str]:
    """A source file with counts in front of its lines."""
    yield f"{listing.name}" + ("" if listing.path else ": not found here; --source-dir tells where to look")
    for line in listing.lines:
        yield _line(line) if line.number else f"{'...':>14}"


def _line(line: Line) -> str:
    count = "" if not line.done else f"{line.count:,}" if line.count else NEVER
    exits, time = sum(row.exits for row in line.done), sum(row.nanoseconds for row in line.done)
    done = ", ".join(f"{row.name} {row.form}" + (f" x{row.places}" if row.places > 1 else "") for row in line.done)
    cells = (f"{count:>14} {f'{exits:,}' if exits else '':>10} {duration(time) if time else '':>8} "
             f"{line.number:>5}  {line.text}")
    return f"{cells}  <- {done}" if done else cells.rstrip()
