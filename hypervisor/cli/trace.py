"""``ring3 trace``: record, list and summarise what a guest asked for."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypercalls import by_name
from hypercalls.structs import TraceKind
from hypervisor.cli import run
from hypervisor.cli.arguments import Parser
from hypervisor.trace import present
from hypervisor.trace.callers import Callers
from hypervisor.trace.format import TraceError, parse_kinds
from hypervisor.trace.reader import Trace, open_trace
from hypervisor.trace.summary import Summary, Table

_ROWS = 12  # of a table, unless all are asked for


def main(arguments: list[str]) -> int:
    """Do what `arguments` say; the exit status of `record` is the guest's."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def _parser() -> Parser:
    parser = Parser(prog="ring3 trace", description="Record, list and summarise what a guest asks of its hypervisor.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    add = commands.add_parser("record", help="run a kernel and record it: ring3 run with --trace FILE").add_argument
    add("file", metavar="FILE", help="the trace to write")
    add("rest", nargs=argparse.REMAINDER, metavar="KERNEL ...", help="the kernel and the options of ring3 run")
    commands.choices["record"].set_defaults(command=_record)

    add = commands.add_parser("list", help="show records, one a line, in the order in which they began").add_argument
    add("file", type=Path, metavar="FILE", help="the trace")
    add("--limit", type=int, metavar="N", help="show the first N only")
    add("--kind", metavar="KINDS", help="show these kinds only, for example hypercall,exit")
    add("--name", action="append", default=[], metavar="HYPERCALL", help="show this hypercall only (repeatable)")
    add("--symbols", type=Path, metavar="ELF", help="take symbols from this file (default: the kernel recorded)")
    add("--json", action="store_true", help="one JSON object a line")
    commands.choices["list"].set_defaults(command=_list)

    add = commands.add_parser("summary", help="show how often, how long and by whom").add_argument
    add("file", type=Path, metavar="FILE", help="the trace")
    add("--by", choices=list(_TABLES), help="show this table only")
    add("--top", type=int, default=_ROWS, metavar="N", help=f"rows of each table (default {_ROWS}, 0: all)")
    add("--symbols", type=Path, metavar="ELF", help="take symbols from this file (default: the kernel recorded)")
    add("--json", action="store_true", help="one JSON object with all rows")
    commands.choices["summary"].set_defaults(command=_summary)
    return parser


_TABLES: dict[str, Callable[[Summary], Table]] = {
    "hypercall": Summary.hypercalls,
    "caller": Summary.callers,
    "kind": Summary.by_kind,
}


def _record(options: argparse.Namespace) -> int:
    return run.main(["--trace", options.file, *options.rest])


def _list(options: argparse.Namespace) -> int:
    if options.limit is not None and options.limit < 0:
        raise TraceError(f"--limit {options.limit} is no number of records")
    trace = open_trace(options.file)
    callers = Callers(trace, options.symbols)
    records = islice(trace.records(trace.ordered(_chosen(trace, options.kind, options.name))), options.limit)
    for record in records:
        if options.json:
            print(json.dumps(present.record_as_json(trace, record, callers)))
        else:
            print(present.line(trace, record, callers))
    for notice in [*trace.notices(), *([callers.notice] if callers.notice else [])]:
        print(f"ring3: {options.file}: {notice}", file=sys.stderr)
    return 0


def _chosen(trace: Trace, kinds: str | None, names: list[str]) -> NDArray[np.bool_] | None:
    """Which records to show; None for all."""
    if kinds is None and not names:
        return None
    wanted = np.ones(len(trace), dtype=bool)
    if kinds is not None:
        wanted &= np.isin(trace.column("kind"), list(parse_kinds(kinds)))
    if names:
        numbers = [_hypercall_number(name) for name in names]
        wanted &= (trace.column("kind") == TraceKind.HYPERCALL) & np.isin(trace.column("number"), numbers)
    return wanted


def _hypercall_number(name: str) -> int:
    row = by_name.get(name.lower())
    if row is None:
        near = difflib.get_close_matches(name.lower(), by_name, 3)
        remedy = f"perhaps {' or '.join(near)}" if near else "'ring3 abi' lists them"
        raise TraceError(f"there is no hypercall '{name}'; {remedy}")
    return row.number


def _summary(options: argparse.Namespace) -> int:
    if options.top < 0:
        raise TraceError(f"--top {options.top} is no number of rows")
    trace = open_trace(options.file)
    callers = Callers(trace, options.symbols)
    summary = Summary(trace, callers)
    tables = [_TABLES[options.by](summary)] if options.by else summary.tables()
    limits = present.notices(trace, summary, callers)
    if options.json:
        print(json.dumps(present.summary_as_json(trace, tables, limits), indent=2))
        return 0
    for text in [*present.heading(trace), *limits]:
        print(text)
    sys.stdout.flush()
    present.print_tables(tables, options.top)
    return 0
