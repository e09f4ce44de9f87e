"""``ring3 trace list``, ``summary`` and ``diff``: what a file holds."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hypervisor.cli.arguments import Parser
from hypervisor.cli.trace.options import Commands, add_choice, add_file, check_count, opened, tell
from hypervisor.trace.format import TraceError

_ROWS = 12  # of a table, unless all are asked for


def add_commands(commands: Commands) -> None:
    """Add what this module does to the parser."""
    _add_list(commands.add_parser("list", help="show records, one a line, in the order in which they began"))
    _add_summary(commands.add_parser("summary", help="show how often, how long and by whom"))
    _add_diff(commands.add_parser("diff", help="compare two traces: what is new, gone, slower, more often"))


def _add_list(parser: Parser) -> None:
    add_file(parser)
    add = parser.add_argument
    add("--limit", type=int, metavar="N", help="show the first N only")
    add("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(command=_list)


def _add_summary(parser: Parser) -> None:
    from hypervisor.trace.titles import TITLES

    add_file(parser)
    add = parser.add_argument
    add("--by", choices=list(TITLES), help="show this table only")
    add("--top", type=int, default=_ROWS, metavar="N", help=f"rows of each table (default {_ROWS}, 0: all)")
    add("--histogram", action="store_true", help="show how latencies are distributed, by powers of two")
    add("--json", action="store_true", help="one JSON object with all rows")
    parser.set_defaults(command=_summary)


def _add_diff(parser: Parser) -> None:
    add = parser.add_argument
    add("before", type=Path, metavar="BEFORE", help="a trace")
    add("after", type=Path, metavar="AFTER", help="the one to compare it with")
    add_choice(parser)
    add("--threshold", type=float, default=10.0, metavar="PERCENT", help="leave out what differs less (default 10)")
    add("--top", type=int, default=_ROWS, metavar="N", help=f"rows of each table (default {_ROWS}, 0: all)")
    add("--json", action="store_true", help="one JSON object with all rows")
    parser.set_defaults(command=_diff)


def _list(options: argparse.Namespace) -> int:
    from hypervisor.trace.lines import LineWriter

    check_count("--limit", options.limit, "records")
    trace = opened(options)
    writer = LineWriter(trace)
    left = options.limit
    for records in trace.ordered(options.where):
        shown = records if left is None else records[:left]
        if not len(shown):
            break
        sys.stdout.write(writer.json_lines(shown) if options.json else writer.lines(shown))
        left = None if left is None else left - len(shown)
    tell(options.file, trace.notices())
    return 0


def _summary(options: argparse.Namespace) -> int:
    from hypervisor.trace import present
    from hypervisor.trace.summary import summarise

    check_count("--top", options.top, "rows")
    trace = opened(options)
    summary = summarise(trace, options.where)
    tables = [summary.table(options.by)] if options.by else summary.tables()
    limits = present.notices(trace, summary)
    if options.json:
        print(json.dumps(present.summary_as_json(trace, tables, limits), indent=2))
        return 0
    for text in [*present.heading(trace), *limits]:
        print(text)
    sys.stdout.flush()
    present.print_tables(tables, options.top)
    if options.histogram:
        present.print_histograms(trace, tables, options.top)
    return 0


def _diff(options: argparse.Namespace) -> int:
    from hypervisor.trace import present
    from hypervisor.trace.difference import differences
    from hypervisor.trace.summary import summarise

    check_count("--top", options.top, "rows")
    if not options.threshold >= 0:
        raise TraceError(f"--threshold {options.threshold:g} is no percentage from 0 on")
    traces = [opened(options, path) for path in (options.before, options.after)]
    before, after = (summarise(trace, options.where) for trace in traces)
    found = differences(before, after, options.threshold / 100)
    if options.json:
        print(json.dumps(present.differences_as_json(traces, found), indent=2))
    else:
        for trace in traces:
            print("\n".join(present.heading(trace)))
        sys.stdout.flush()
        present.print_differences(found, options.top)
    for trace in traces:
        tell(trace.path, trace.notices())
    return 0
