"""What a guest asks for, as it asks: tables that are made anew every second or so."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from hypercalls.structs import TraceKind
from hypervisor.trace.present import rich_table, row_as_json
from hypervisor.trace.stream import Stream
from hypervisor.trace.summary import Summary, Table

_TABLES = ("hypercall", "caller", "exit", "interrupt", "exception", "emulated", "device")


def watch(stream: Stream, name: str, interval: float, count: int, rows: int,
          show: Callable[[dict[str, Any]], None] | None) -> None:  # fmt: skip
    """Show what `stream` tells of guest `name`, a picture each `interval` seconds, to its end or for `count` pictures.

    `rows`: of each table. `show` takes the pictures as JSON values; without it they are drawn on the terminal, one over
    the other, or, where there is none, printed one below the other.
    """
    with _screen(show) as draw:
        deadline = time.monotonic()
        made = 0
        while not stream.ended and (not count or made < count):
            deadline += interval
            begin = time.monotonic()
            summary = Summary(stream.trace)
            for records in stream.until(deadline):
                real = records[(records["kind"] < _MARKS) & (records["kind"] != TraceKind.STACK)]
                if len(real):
                    summary.add(real)
            made += 1
            summary.seconds = time.monotonic() - begin
            draw(name, summary, summary.tables(_TABLES), rows)


_MARKS = 0x80  # kinds of the recorder from here on
_Draw = Callable[[str, Summary, list[Table], int], None]


@contextlib.contextmanager
def _screen(show: Callable[[dict[str, Any]], None] | None) -> Iterator[_Draw]:
    if show:
        yield lambda name, summary, tables, rows: show(_as_json(name, summary, tables, rows))
        return
    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        plain = Console(highlight=False, emoji=False, width=200, no_color=True)
        yield lambda name, summary, tables, rows: plain.print(_picture(name, summary, tables, rows))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda name, summary, tables, rows: live.update(_picture(name, summary, tables, rows), refresh=True)


def _picture(name: str, summary: Summary, tables: list[Table], rows: int) -> RenderableType:
    rate = summary.count / summary.seconds if summary.seconds else 0.0
    head = Text(f"{name}: {rate:,.0f} records a second; Ctrl-C ends")
    parts: list[RenderableType] = [head]
    for table in tables:
        parts += [Text(), rich_table(table, table.rows[:rows], None)]
    return Group(*parts)


def _as_json(name: str, summary: Summary, tables: list[Table], rows: int) -> dict[str, Any]:
    return {
        "guest": name,
        "seconds": summary.seconds,
        "records": summary.count,
        "tables": {table.title: [row_as_json(row, table.most) for row in table.rows[:rows]] for table in tables},
    }
