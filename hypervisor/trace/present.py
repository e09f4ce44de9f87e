"""Traces on the terminal, in pipes and as JSON: a line for a record, tables for a summary."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hypervisor.trace import decode
from hypervisor.trace.callers import Callers
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.reader import LATENCY_MAX, UNFINISHED, Record, Trace
from hypervisor.trace.summary import Latency, Row, Summary, Table

_PLAIN_WIDTH = 200  # columns for tables that nobody sees on a terminal: enough to cut nothing off
_UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
_WHAT_WIDTH = 58


def duration(nanoseconds: float) -> str:
    """A time span with its unit, three digits or so: `412 ns`, `1.23 us`."""
    for size, unit in _UNITS:
        if nanoseconds >= size * 0.9995:  # what would be rounded up to the unit
            texts = [f"{nanoseconds / size:.{digits}f}" for digits in (2, 1, 0)]
            return f"{next((text for text in texts if len(text) <= 4), texts[-1])} {unit}"
    return f"{nanoseconds:.0f} ns"


# --- records ------------------------------------------------------------------------------------------


def line(trace: Trace, record: Record, callers: Callers) -> str:
    """One record for people: seconds, duration, ring, kind, what it was, where from."""
    given = ", ".join(f"{argument.name}={argument.text}" for argument in decode.arguments(record))
    came = decode.result(record)
    what = decode.name(record) + (f"({given})" if given else "") + (f" = {came.text}" if came else "")
    took = duration(trace.nanoseconds(record.latency)) if record.latency else ""
    if record.latency == LATENCY_MAX:
        took = f">{took}"
    if record.sequence == UNFINISHED:
        took = "no end"
    where = callers.describe(record.cpl, record.eip)
    begin = f"{trace.time(record.tsc):14.9f} {took:>8} {record.cpl} {KIND_NAMES[record.kind]:<9}"
    return f"{begin} {what:<{_WHAT_WIDTH}} {where}"


def record_as_json(trace: Trace, record: Record, callers: Callers) -> dict[str, Any]:
    """One record for programs; times in seconds and ns, null where there is none."""
    came = decode.result(record)
    ended = record.sequence != UNFINISHED
    return {
        "time": round(trace.time(record.tsc), 9),
        "kind": KIND_NAMES[record.kind],
        "name": decode.name(record),
        "args": {argument.name: argument.value for argument in decode.arguments(record)},
        "result": came.value if came and ended else None,
        "latency_ns": round(trace.nanoseconds(record.latency), 1) if record.latency and ended else None,
        "ring": record.cpl,
        "eip": record.eip,
        "caller": callers.describe(record.cpl, record.eip),
        "cr3": record.cr3,
    }


# --- summaries ----------------------------------------------------------------------------------------


def heading(trace: Trace) -> list[str]:
    """What was recorded."""
    start = datetime.fromtimestamp(trace.header.start_ns / 1e9, UTC).astimezone()
    boots = f", {trace.boots} starts" if trace.boots > 1 else ""
    return [f"{trace.path}: {trace.header.kernel}, recorded {start:%Y-%m-%d %H:%M:%S}",
            f"{len(trace):,} records in {trace.seconds:.3f} s{boots}, {trace.lost:,} lost"]  # fmt: skip


def notices(trace: Trace, summary: Summary, callers: Callers) -> list[str]:
    """What limits the figures."""
    found = trace.notices()
    if summary.overlong:
        limit = duration(trace.nanoseconds(LATENCY_MAX))
        found.append(f"{summary.overlong:,} operations took {limit} or more, the longest that a record can tell")
    return [*found, callers.notice] if callers.notice else found


def print_tables(tables: Iterable[Table], most_rows: int) -> None:
    """Tables with lines and colours on a terminal, plain columns elsewhere; `most_rows` 0: all rows."""
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, emoji=False, width=_PLAIN_WIDTH, no_color=True)
    for table in tables:
        shown = table.rows[:most_rows] if most_rows else table.rows
        console.print()
        console.print(_rich_table(table, shown, box.SIMPLE_HEAD if console.is_terminal else None))
        if len(shown) < len(table.rows):
            left = sum(row.count for row in table.rows[len(shown) :])
            console.print(f"  and {len(table.rows) - len(shown)} more with {left:,} records (--top 0 shows all)")


def _rich_table(table: Table, rows: list[Row], frame: box.Box | None) -> RichTable:
    timed = any(row.latency for row in rows)
    made = RichTable(box=frame, pad_edge=False, header_style="bold")
    made.add_column(Text(table.title), no_wrap=True)
    for title in ("count", "share", "per s", *(("total", "mean", "p50", "p99") if timed else ())):
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
        return [""] * 4
    return [duration(value) for value in (latency.total, latency.mean, latency.p50, latency.p99)]


def summary_as_json(trace: Trace, tables: Iterable[Table], limits: list[str]) -> dict[str, Any]:
    """A summary for programs; latencies in ns, rates per second."""
    return {
        "trace": str(trace.path),
        "kernel": trace.header.kernel,
        "start": trace.header.start_ns / 1e9,
        "seconds": trace.seconds,
        "records": len(trace),
        "lost": trace.lost,
        "damaged": trace.damaged,
        "boots": trace.boots,
        "complete": trace.complete,
        "notices": limits,
        "tables": {table.title: [_row_as_json(row, table.most) for row in table.rows] for table in tables},
    }


def _row_as_json(row: Row, most: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": row.name, "count": row.count, "share": row.share, "rate": row.rate}
    if row.latency:
        latency = row.latency
        found["latency_ns"] = {"total": latency.total, "mean": latency.mean, "p50": latency.p50, "p99": latency.p99}
    return found | ({most: row.most} if most else {})
