"""Options that the commands which read a trace have in common."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypervisor.trace.format import TraceError

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

Commands = Any
"""What argparse's add_subparsers gives."""


def add_file(parser: argparse.ArgumentParser, metavar: str = "FILE") -> None:
    """The trace, what of it, and where its symbols are."""
    add = parser.add_argument
    add(metavar.lower(), type=Path, metavar=metavar, help="the trace")
    add_choice(parser)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """What of the trace, and where its symbols are."""
    add = parser.add_argument
    add("--where", metavar="EXPRESSION", help="only records for which this holds, for example 'port:0x3f8 and latency "
        "> 10us' (docs/tracing.md)")  # fmt: skip
    add("--symbols", type=Path, metavar="ELF", help="take symbols from this file (default: the kernel recorded)")


def opened(options: argparse.Namespace, path: Path | None = None) -> Trace:
    """The trace that the options name. TraceError where it cannot be read, or `--where` not understood."""
    from hypervisor.trace.reader import open_trace

    if options.where is not None:
        from hypervisor.trace.grammar import parse  # which takes as long to import as to read 50,000 records

        parse(options.where)
    return open_trace(path or options.file, options.symbols)


def check_count(option: str, count: int | None, what: str) -> None:
    """TraceError for a negative number of `what`."""
    if count is not None and count < 0:
        raise TraceError(f"{option} {count} is no number of {what}")


def tell(path: Path, notices: list[str]) -> None:
    """Tell what limits what was shown, apart from it."""
    for notice in notices:
        print(f"ring3: {path}: {notice}", file=sys.stderr)
