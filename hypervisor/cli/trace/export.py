"""``ring3 trace export`` and ``sql``: traces for other tools."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypervisor.cli.trace.options import Commands, add_choice, add_file, opened, tell
from hypervisor.files import write_whole
from hypervisor.trace.format import TraceError

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

_SHOWN = 200  # columns of a table that nobody sees on a terminal


def add_commands(commands: Commands) -> None:
    """Add what this module does to the parser."""
    export = commands.add_parser("export", help="write a trace for Perfetto, chrome://tracing or CTF tools")
    add = export.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="traces; each is a process in what is written")
    add("--format", choices=("perfetto", "chrome", "ctf"), default="perfetto", help="default perfetto")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="the file to write; for ctf, a new folder")
    add_choice(export)
    export.set_defaults(command=_export)

    sql = commands.add_parser("sql", help="ask a trace in SQL: tables 'records' and 'trace'")
    add_file(sql)
    add = sql.add_argument
    add("query", metavar="QUERY", help="for example \"SELECT name, count(*) FROM records GROUP BY name\"")
    add("--database", type=Path, metavar="DB", help="keep the database, and use it if it is there")
    add("--csv", action="store_true", help="comma-separated values")
    add("--json", action="store_true", help="one JSON object a line")
    sql.set_defaults(command=_sql)


def _export(options: argparse.Namespace) -> int:
    traces = [opened(options, path) for path in options.files]
    if options.format == "ctf":
        if len(traces) != 1:
            raise TraceError("a CTF folder holds one trace; name one FILE")
        _write_folder(options.output, traces[0], options.where)
    else:
        from hypervisor.trace.export import chrome, perfetto

        write = perfetto.packets if options.format == "perfetto" else chrome.text
        write_whole(options.output, write([(trace, options.where) for trace in traces]))
    for trace in traces:
        tell(trace.path, trace.notices())
    return 0


def _write_folder(path: Path, trace: Trace, where: str | None) -> None:
    from hypervisor.trace.export import ctf

    if path.exists():
        raise TraceError(f"{path} exists; name a new folder for the CTF trace")
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.mkdir()
        write_whole(part / "stream", ctf.packets(trace, where))
        (part / "metadata").write_text(ctf.metadata(trace))
        part.rename(path)
    except OSError as error:
        raise TraceError(f"{path} cannot be written ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sql(options: argparse.Namespace) -> int:
    from hypervisor.trace.export import sql

    trace = opened(options)
    with sql.database(trace, options.where, options.database) as connection:
        names, rows = sql.query(connection, options.query)
        if options.json:
            for row in rows:
                print(json.dumps(dict(zip(names, row, strict=True)), default=str))
        elif options.csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(names)
            writer.writerows(rows)
        else:
            _print(names, rows)
    return 0


def _print(names: list[str], rows: Iterator[tuple[Any, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    terminal = console.is_terminal
    console = console if terminal else Console(highlight=False, emoji=False, width=_SHOWN, no_color=True)
    made = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, header_style="bold")
    for name in names:
        made.add_column(name, no_wrap=True)
    for row in rows:
        made.add_row(*(Text("" if value is None else str(value)) for value in row))
    console.print(made)
