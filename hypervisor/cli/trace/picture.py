"""``ring3 trace report`` and ``timeline``: pictures of a trace, for a browser and for the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hypervisor.cli.trace.options import Commands, add_file, opened, tell
from hypervisor.files import write_whole
from hypervisor.trace.format import TraceError

_LEAST, _MOST = 20, 1000  # columns of a picture
_PLAIN_WIDTH = 120


def add_commands(commands: Commands) -> None:
    """Add what this module does to the parser."""
    report = commands.add_parser("report", help="write a page with timeline, flame graph, latencies and tables")
    add_file(report)
    add = report.add_argument
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="the HTML file to write")
    add("--title", default="", help="heading of the page (default: the guest's name)")
    report.set_defaults(command=_report)

    timeline = commands.add_parser("timeline", help="show when what was asked for, on the terminal")
    add_file(timeline)
    add = timeline.add_argument
    add("--from", dest="first", type=float, default=0.0, metavar="SECONDS", help="begin here")
    add("--to", dest="last", type=float, metavar="SECONDS", help="end here (default: the end)")
    add("--width", type=int, metavar="COLUMNS", help="columns of time (default: as many as fit)")
    add("--by", choices=("kind", "hypercall", "device", "caller", "process"), default="kind", help="what the lanes are")
    add("--rows", type=int, default=16, metavar="N", help="lanes shown, the busiest first (default 16)")
    add("--json", action="store_true", help="the counts as one JSON object")
    timeline.set_defaults(command=_timeline)


def _report(options: argparse.Namespace) -> int:
    from hypervisor.trace.report.page import page

    trace = opened(options)
    write_whole(options.output, [page(trace, options.where, options.title).encode()])
    tell(options.file, trace.notices())
    return 0


def _timeline(options: argparse.Namespace) -> int:
    from rich.console import Console

    from hypervisor.trace.lanes import count, draw

    console = Console(highlight=False, emoji=False)
    width = options.width or max(_LEAST, (console.width if console.is_terminal else _PLAIN_WIDTH) - 40)
    if not _LEAST <= width <= _MOST or options.rows < 1:
        raise TraceError(f"--width is a number from {_LEAST} to {_MOST}, --rows one from 1 on")
    trace = opened(options)
    last = trace.seconds if options.last is None else options.last
    if not 0 <= options.first < last:
        raise TraceError(f"--from {options.first:g} --to {last:g} is no time; the trace has {trace.seconds:.3f} s")
    lanes = count(trace, options.where, options.by, options.first, last, width)
    if options.json:
        print(json.dumps({"from": options.first, "to": last, "lanes": {one.name: one.counts for one in lanes}}))
    else:
        draw(console, lanes[: options.rows], options.first, last)
        if len(lanes) > options.rows:
            print(f"and {len(lanes) - options.rows} more (--rows)")
    sys.stdout.flush()
    tell(options.file, trace.notices())
    return 0
