"""Who asks for what, by whom it was called: counts and times by whole backtraces, as a tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from debuginfo.unwind import End
from hypercalls.structs import TraceKind
from hypervisor.trace.callers import USER_CODE, USER_RING
from hypervisor.trace.shapes import CODE_BYTES, instruction, shape
from hypervisor.trace.stacks import with_backtraces
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED

if TYPE_CHECKING:
    from hypervisor.trace.chunks import Records
    from hypervisor.trace.reader import Trace

CUT = "(stack cut off)"


@dataclass(frozen=True)
class Path:
    """`frames`: functions, the innermost first, in front of them what was asked for. `cycles`: of all `count`."""

    frames: tuple[str, ...]
    count: int
    cycles: int


@dataclass
class Node:
    """A function in the tree, or what was asked for; `cycles` and `count` are those of all paths through it."""

    name: str
    count: int = 0
    cycles: int = 0
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, name: str) -> Node:
        """The child of that name, made if need be."""
        return self.children.setdefault(name, Node(name))

    def sorted(self) -> list[Node]:
        """The children, the most frequent first."""
        return sorted(self.children.values(), key=lambda node: (-node.count, node.name))


def folded(trace: Trace, where: str | None = None) -> Iterator[Path]:
    """What was asked for, by backtraces; where there are none, by the functions that asked.

    Inlined functions are frames of their own. What happened within another operation, such as the access to a device
    by a hypercall, is part of that and has no path of its own.
    """
    where = "nesting == 0" + (f" and ({where})" if where else "")
    counts: defaultdict[tuple[str, tuple[int, ...], str], list[int]] = defaultdict(lambda: [0, 0])
    for records, backtraces in with_backtraces(trace, where):
        names = _names(records)
        cycles = records["latency"].astype("i8")
        cycles[(records["sequence"] == UNFINISHED) | (cycles == LATENCY_MAX)] = 0
        eips = records["eip"].tolist()
        for name, eip, backtrace, took in zip(names, eips, backtraces, cycles.tolist(), strict=True):
            addresses = backtrace.addresses if backtrace else (eip,)
            cut = CUT if backtrace and backtrace.end is End.TRUNCATED else ""
            cell = counts[name, addresses, cut]
            cell[0] += 1
            cell[1] += took
    user: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for records in trace.batches(f"ring == {USER_RING} and {where}"):
        for name, took in zip(_names(records), records["latency"].tolist(), strict=True):
            user[name][0] += 1
            user[name][1] += took
    functions = trace.callers.functions
    for (name, addresses, cut), (count, took) in counts.items():
        frames = [name]
        for index, address in enumerate(addresses):
            frames += functions(address, returns=index > 0)
        yield Path((*frames, *([cut] if cut else [])), count, took)
    for name, (count, took) in user.items():
        yield Path((name, USER_CODE), count, took)


def _names(records: Records) -> list[str]:
    """What was asked for, in a word: of emulated instructions the mnemonic."""
    columns = zip(records["kind"].tolist(), records["number"].tolist(), records["args"][:, :3], strict=True)
    return [
        instruction(code.tobytes()[:CODE_BYTES])[0] if kind == TraceKind.EMULATED else
        "mark" if kind == TraceKind.MARK else shape(kind, number, 0).name
        for kind, number, code in columns
    ]  # fmt: skip


def tree(paths: Iterator[Path], top_down: bool = False) -> Node:
    """The paths as a tree: from what was asked for up to who called whom, or `top_down`, from the outermost caller."""
    root = Node("all")
    for path in paths:
        node = root
        node.count += path.count
        node.cycles += path.cycles
        for name in reversed(path.frames) if top_down else path.frames:
            node = node.child(name)
            node.count += path.count
            node.cycles += path.cycles
    return root
