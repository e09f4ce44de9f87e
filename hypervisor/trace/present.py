"""Summaries on the terminal, in pipes and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from hypervisor.terminal import console, duration
from hypervisor.trace.difference import Difference
from hypervisor.trace.reader import LATENCY_MAX, Trace
from hypervisor.trace.summary import Latency, Row, Summary, Table

_BAR = 50  # columns of a histogram's longest bar
# --- summaries ----------------------------------------------------------------------------------------


def heading(trace: Trace) -> list[str]:
    """What was recorded."""
    start = datetime.fromtimestamp(trace.header.start_ns / 1e9, UTC).astimezone()
    condition = trace.condition
    boots = f", {condition.boots} starts" if condition.boots > 1 else ""
    limits = [f"only {trace.header.only}"] if trace.header.only else []
    limits += [f"callers {trace.header.caller}"] if trace.header.caller else []
    limits += [f"the last {trace.header.keep:g} s"] if trace.header.keep else []
    return [f"{trace.path}: {trace.header.kernel}, recorded {start:%Y-%m-%d %H:%M:%S}",
            f"{condition.records:,} records in {trace.seconds:.3f} s{boots}, {condition.lost:,} lost"
            + (f" ({', '.join(limits)})" if limits else "")]  # fmt: skip


def notices(trace: Trace, summary: Summary) -> list[str]:
    """What limits the figures."""
    found = trace.notices()
    if summary.overlong:
        limit = duration(trace.nanoseconds(LATENCY_MAX))
        found.append(f"{summary.overlong:,} operations took {limit} or more, the longest that a record can tell")
    return found


def print_tables(tables: Iterable[Table], most_rows: int) -> None:
    """Tables with lines and colours on a terminal, plain columns elsewhere; `most_rows` 0: all rows."""
    out = console()
    for table in tables:
        shown = table.rows[:most_rows] if most_rows else table.rows
        out.print()
        out.print(rich_table(table, shown, box.SIMPLE_HEAD if out.is_terminal else None))
        if len(shown) < len(table.rows):
            left = sum(row.count for row in table.rows[len(shown) :])
            out.print(f"  and {len(table.rows) - len(shown)} more with {left:,} records (--top 0 shows all)")


def rich_table(table: Table, rows: list[Row], frame: box.Box | None) -> RichTable:
    """`rows` of `table`, with latencies where they have some."""
    timed = any(row.latency for row in rows)
    made = RichTable(box=frame, pad_edge=False, header_style="bold")
    made.add_column(Text(table.title), no_wrap=True)
    for title in ("count", "share", "per s", *(("total", "mean", "p50", "p90", "p99", "most") if timed else ())):
        made.add_column(title, justify="right", no_wrap=True)
    if table.most:
        made.add_column(table.most, no_wrap=True)
    for row in rows:
        cells = [row.name, f"{row.count:,}", f"{row.share:.1%}", f"{row.rate:,.0f}"]
        cells += _latency_cells(row.latency) if timed else []
        made.add_row(*(Text(cell) for cell in [*cells, *([row.most] if table.most else [])]))
    return made


def _latency_cells(latency: Latency | None) -> list[str]:
    if latency is None:
        return [""] * 6
    figures = (latency.total, latency.mean, latency.p50, latency.p90, latency.p99, latency.most)
    return [duration(value) for value in figures]


def summary_as_json(trace: Trace, tables: Iterable[Table], limits: list[str]) -> dict[str, Any]:
    """A summary for programs; latencies in ns, rates per second."""
    return {
        "trace": str(trace.path),
        "kernel": trace.header.kernel,
        "start": trace.header.start_ns / 1e9,
        "seconds": trace.seconds,
        "only": trace.header.only,
        "caller": trace.header.caller,
        "records": trace.condition.records,
        "lost": trace.condition.lost,
        "damaged": trace.condition.damaged,
        "boots": trace.condition.boots,
        "complete": trace.condition.complete,
        "notices": limits,
        "tables": {table.title: [row_as_json(row, table.most) for row in table.rows] for table in tables},
    }


def row_as_json(row: Row, most: str) -> dict[str, Any]:
    """A row for programs; `most` is the table's."""
    found: dict[str, Any] = {"name": row.name, "count": row.count, "share": row.share, "rate": row.rate}
    if row.latency:
        latency = row.latency
        found["latency_ns"] = {"total": latency.total, "mean": latency.mean, "p50": latency.p50, "p90": latency.p90,
                               "p99": latency.p99, "most": latency.most}
    return found | ({most: row.most} if most else {})


def print_histograms(trace: Trace, tables: Iterable[Table], most_rows: int) -> None:
    """For each row that has latencies, how many took how long, a bar for each power of two of cycles."""
    out = console()
    for table in tables:
        for row in (table.rows[:most_rows] if most_rows else table.rows):
            if row.latency:
                out.print()
                out.print(Text(f"{table.title}: {row.name}"))
                out.print(_histogram(trace, row.latency.powers))


def _histogram(trace: Trace, powers: list[tuple[int, int]]) -> RichTable:
    made = RichTable(box=None, show_header=False, pad_edge=False)
    for justify in ("right", "right", "left"):
        made.add_column(justify=justify, no_wrap=True)
    counts, most = dict(powers), max(count for _, count in powers)
    for power in range(powers[0][0], powers[-1][0] + 1):
        count = counts.get(power, 0)
        begins = duration(trace.nanoseconds(2.0**power)) if power >= 0 else "0 ns"
        made.add_row(f"from {begins}", f"{count:,}", "#" * -(-count * _BAR // most))
    return made


# --- differences --------------------------------------------------------------------------------------


def print_differences(found: dict[str, list[Difference]], most_rows: int) -> None:
    """A table for each title of `found`."""
    out = console()
    if not found:
        out.print("nothing differs that much")
    for title, rows in found.items():
        made = RichTable(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, header_style="bold")
        made.add_column(title, no_wrap=True)
        for heading_ in ("before", "after", "change", "p50 before", "p50 after", "total before", "total after"):
            made.add_column(heading_, justify="right", no_wrap=True)
        made.add_column("what", no_wrap=True)
        for row in rows[:most_rows] if most_rows else rows:
            made.add_row(*map(Text, _difference_cells(row)))
        out.print()
        out.print(made)
        if most_rows and len(rows) > most_rows:
            out.print(f"  and {len(rows) - most_rows} more (--top 0 shows all)")


def _difference_cells(row: Difference) -> list[str]:
    counts = [one.count if one else 0 for one in (row.before, row.after)]
    latencies = [one.latency if one else None for one in (row.before, row.after)]
    change = f"{counts[1] / counts[0] - 1:+.1%}" if counts[0] else ""
    cells = [row.name, f"{counts[0]:,}", f"{counts[1]:,}", change]
    for figure in ("p50", "total"):
        cells += [duration(getattr(latency, figure)) if latency else "" for latency in latencies]
    return [*cells, ", ".join(row.changes)]


def differences_as_json(traces: Iterable[Trace], found: dict[str, list[Difference]]) -> dict[str, Any]:
    """Differences for programs; rows as in a summary."""
    return {
        "traces": [str(trace.path) for trace in traces],
        "tables": {
            title: [
                {
                    "name": row.name,
                    "changes": list(row.changes),
                    "before": row_as_json(row.before, "") if row.before else None,
                    "after": row_as_json(row.after, "") if row.after else None,
                }
                for row in rows
            ]
            for title, rows in found.items()
        },
    }
