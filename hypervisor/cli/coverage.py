"""``ring3 coverage``: which places of a kernel ran, how often, and what they cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hypervisor.cli.arguments import Parser
from hypervisor.coverage.format import Coverage, Place, load
from hypervisor.coverage.tables import NAMES
from hypervisor.errors import RingError

_ROWS = 20  # unless others are asked for
_CONTEXT = 2  # lines of source around one that asks for something


def main(arguments: list[str]) -> int:
    """Show coverage as `arguments` say; returns the exit status."""
    from hypervisor.coverage import listing, present  # rich only where a command runs

    options = _parser().parse_args(arguments)
    if min(options.top, options.context) < 0:
        raise RingError("--top and --context are counts; 0 is the least")
    coverage = _loaded(options.file)
    if options.json:
        for found in _objects(coverage):
            print(json.dumps(found))
    elif options.source is not None:
        context = None if options.all_lines else options.context
        for one in listing.listings(coverage, [name for name in options.source if name], options.source_dir, context):
            print(*present.listing_lines(one), sep="\n", end="\n\n")
    else:
        print(present.heading(coverage))
        if options.never:
            present.print_never(coverage)
        else:
            present.print_summary(coverage, options.by, options.top)
    for notice in present.notices(coverage):
        print(f"ring3: {notice}", file=sys.stderr)
    return 0


def _parser() -> Parser:
    parser = Parser(prog="ring3 coverage", description="Show which places of a kernel ran and what they cost, as "
                    "'ring3 run --coverage FILE' counted. Several files of one kernel are added up.")  # fmt: skip
    add = parser.add_argument
    add("file", type=Path, nargs="+", metavar="FILE", help="coverage of a kernel")
    add("--by", choices=list(NAMES), default="place", help="what the rows stand for (default place)")
    add("--top", type=int, default=_ROWS, metavar="N", help=f"rows shown (default {_ROWS}, 0: all)")
    add("--never", action="store_true", help="list the sites that never ran")
    add("--source", nargs="?", action="append", const="", metavar="NAME",
        help="the counts over the source; with NAME, over this file only (as often as wanted)")  # fmt: skip
    add("--source-dir", type=Path, action="append", default=[], metavar="DIR", help="where sources are, if not where "
        "the compiler found them (as often as wanted)")  # fmt: skip
    add("--context", type=int, default=_CONTEXT, metavar="N", help="lines of source shown around each that asks for "
        f"something (default {_CONTEXT})")  # fmt: skip
    add("--all-lines", action="store_true", help="show all lines of the sources")
    add("--json", action="store_true", help="one JSON object a line for each place")
    return parser


def _loaded(paths: list[Path]) -> Coverage:
    found, *more = (load(path) for path in paths)
    for one in more:
        found.add(one)
    return found


def _objects(coverage: Coverage) -> Iterator[dict[str, Any]]:
    for kind, places in (("site", coverage.sites), ("elsewhere", coverage.elsewhere)):
        for place in places:
            yield {"kind": kind, **_as_json(place)}


def _as_json(place: Place) -> dict[str, Any]:
    return asdict(place) | {"address": f"{place.address:#x}"}
