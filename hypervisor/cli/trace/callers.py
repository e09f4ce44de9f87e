"""``ring3 trace callers``: who asks for what, as a tree of backtraces."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hypervisor.cli.trace.options import Commands, add_file, opened, tell
from hypervisor.trace.format import TraceError

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace
    from hypervisor.trace.tree import Node, Path


def add_commands(commands: Commands) -> None:
    """Add what this module does to the parser."""
    parser = commands.add_parser("callers", help="show who asks for what, as a tree of backtraces")
    add_file(parser)
    add = parser.add_argument
    add("--top-down", action="store_true", help="begin with the outermost callers, not with what was asked for")
    add("--depth", type=int, default=12, metavar="N", help="functions shown on top of each other (default 12)")
    add("--share", type=float, default=1.0, metavar="PERCENT", help="leave out what is less of the whole (default 1)")
    add("--folded", action="store_true", help="one backtrace a line with its count, as flame graph tools read them")
    add("--json", action="store_true", help="the tree as nested JSON objects")
    parser.set_defaults(command=_callers)


def _callers(options: argparse.Namespace) -> int:
    from hypervisor.trace.tree import folded, tree

    if options.depth < 1 or not 0 <= options.share <= 100:
        raise TraceError("--depth is a number from 1 on, --share a percentage up to 100")
    trace = opened(options)
    paths = folded(trace, options.where)
    if options.folded:
        for line in sorted(_folded_lines(paths)):
            print(line)
    else:
        root = tree(paths, options.top_down)
        if options.json:
            print(json.dumps(_as_json(trace, root)))
        else:
            print(f"{root.count:,} operations, {_time(trace, root.cycles)}")
            _print(_lines(trace, root, options.depth, root.count * options.share / 100))
    tell(options.file, trace.notices())
    return 0


def _folded_lines(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        yield ";".join(frame.replace(";", ":") for frame in reversed(path.frames)) + f" {path.count}"


def _time(trace: Trace, cycles: int) -> str:
    from hypervisor.terminal import duration

    return duration(trace.nanoseconds(cycles))


def _as_json(trace: Trace, node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "count": node.count,
        "ns": round(trace.nanoseconds(node.cycles), 1),
        "children": [_as_json(trace, child) for child in node.sorted()],
    }


def _lines(trace: Trace, root: Node, depth: int, least: float) -> Iterator[tuple[str, str]]:
    """Figures and, with the branches of the tree in front, names; what is smaller than `least` is added up."""

    def below(node: Node, prefix: str, level: int) -> Iterator[tuple[str, str]]:
        children = node.sorted()
        shown = [child for child in children if child.count >= least] if level < depth else []
        hidden = len(children) - len(shown)
        for index, child in enumerate(shown):
            last = index == len(shown) - 1 and not hidden
            figures = f"{child.count:>12,} {child.count / root.count:>6.1%} {_time(trace, child.cycles):>8}"
            yield figures, f"{prefix}{'`-' if last else '|-'} {child.name}"
            yield from below(child, prefix + ("   " if last else "|  "), level + 1)
        if hidden:
            left = sum(child.count for child in children if child not in shown)
            yield f"{left:>12,} {left / root.count:>6.1%} {'':>8}", f"{prefix}`- ({hidden} more)"

    yield from below(root, "", 0)


def _print(lines: Iterator[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    for figures, name in lines:
        if console.is_terminal:
            console.print(Text.assemble((figures, "cyan"), "  ", name), no_wrap=True, crop=False, overflow="ignore")
        else:
            sys.stdout.write(f"{figures}  {name}\n")
