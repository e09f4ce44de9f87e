"""A selection as the monitor's filter: the language in which records are chosen from a file, as far as it goes here.

The monitor tells records apart before it makes them, by a few tables (hypercalls.structs.TRACE_FILTER), so that what
nobody wants costs next to nothing. It knows no latencies and no results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from hypercalls.structs import TRACE_FILTER, TRACE_KEPT, TraceKind
from hypervisor.trace.chunks import RECORD
from hypervisor.trace.columns import Columns
from hypervisor.trace.devices import Devices
from hypervisor.trace.expression import AllOf, AnyOf, Inverse, Named, Node
from hypervisor.trace.format import ALL_KINDS, TraceError
from hypervisor.trace.grammar import parse
from hypervisor.trace.selection import Selection
from hypervisor.trace.terms import Caller, RingFilter

_ADDRESSES, _SPACES, _CALLERS = 8, 8, 512  # places in the monitor's tables
_PORTS = 1 << 16
Functions = Callable[[Callable[[str], bool]], list[tuple[int, int]]]
"""First and last addresses of the functions whose names fit."""


def check(selection: Selection) -> None:
    """TraceError for what cannot be understood, or cannot be told before it has happened."""
    _ring_filter(selection, None)


def _ring_filter(selection: Selection, devices: Devices | None) -> RingFilter | None:
    """The filter that stands for `selection` on a machine with `devices`; None where everything is to be recorded."""
    patterns = [pattern.strip() for pattern in selection.caller.split(",") if pattern.strip()]
    if not selection.only and not patterns:
        return None
    ring = RingFilter(callers=patterns)
    # The monitor records what any of the choosing words names, within the bounds that each sort of limit sets.
    seen: set[object] = {Caller} if patterns else set()
    for part in _parts(parse(selection.only)) if selection.only else ():
        terms = [_term(selection.only, choice) for choice in _choices(part)]
        sorts = {type(term) if term.restricts else None for term in terms}
        if len(sorts) > 1 or sorts & seen:
            raise _refusal(selection.only, "combines its words in a way")
        seen |= sorts
        for term in terms:
            if devices is not None:
                term.tell(ring, devices)
    if None not in seen:
        ring.kinds = {kind.value for kind in ALL_KINDS}
    return ring


def _parts(node: Node) -> Iterable[Node]:
    return node.parts if isinstance(node, AllOf) else (node,)


def _choices(node: Node) -> Iterable[Node]:
    return node.parts if isinstance(node, AnyOf) else (node,)


def _term(text: str, node: Node) -> Any:
    if not isinstance(node, Named):
        reason = "asks for what is not so" if isinstance(node, Inverse) else "compares or nests"
        raise _refusal(text, reason)
    return node.term


def _refusal(text: str, reason: str) -> TraceError:
    return TraceError(f"'{text}' {reason}, which cannot be known while recording; name what to record, for example "
                      "'mmu,port:0x3f8', and choose from the file with --where")


def apply(selection: Selection, control: Any, ports: memoryview, devices: Devices, functions: Functions) -> int:
    """Set the monitor's filter in `control` and its bitmap of `ports`; the mask of kinds that are then to be traced.

    TraceError where a name fits nothing, or too much for the monitor's tables.
    """
    ring = _ring_filter(selection, devices)
    made = TRACE_FILTER.ctype()
    bitmap = bytearray(_PORTS // 8)
    mask = sum(1 << kind for kind in ALL_KINDS)
    if ring:
        _fill(made, ring, functions)
        for first, last in ring.ports:
            for port in range(first, last + 1):
                bitmap[port >> 3] |= 1 << (port & 7)
        mask = _mask(ring)
    control.trace_mask &= TRACE_KEPT  # nothing is recorded by half a filter
    ports[:] = bytes(bitmap)
    control.trace_filter = made
    return mask


def wanted(selection: Selection, record: bytes, devices: Devices, symbol: Callable[[int, int], str]) -> bool:
    """What the monitor's filter says of one record, for those that the monitor did not come to."""
    columns = Columns(np.frombuffer(record, RECORD), 1, 0, symbol, devices)
    patterns = [pattern.strip() for pattern in selection.caller.split(",") if pattern.strip()]
    called = not patterns or columns.text_matches(
        "caller", lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)
    )[0]
    return bool(called and (not selection.only or parse(selection.only).mask(columns)[0]))


def _mask(ring: RingFilter) -> int:
    """Kinds of which records can be wanted; stacks and marks come with what they belong to."""
    kinds = set(ring.kinds) | {TraceKind.STACK.value}
    for kind, found in (
        (TraceKind.HYPERCALL, ring.calls or ring.ports), (TraceKind.EXIT, ring.exits or ring.ports or ring.addresses),
        (TraceKind.INTERRUPT, ring.vectors), (TraceKind.EXCEPTION, ring.exceptions),
        (TraceKind.DEVICE, ring.ports or ring.addresses),
    ):  # fmt: skip
        if found:
            kinds.add(kind.value)
    return sum(1 << kind for kind in kinds)


def _fill(made: Any, ring: RingFilter, functions: Functions) -> None:
    made.active = 1
    made.whole = sum(1 << kind for kind in ring.kinds)
    for numbers, words in ((ring.calls, made.calls), (ring.vectors, made.vectors)):
        for number in numbers:
            words[number >> 5] |= 1 << (number & 31)
    made.exceptions = sum(1 << number for number in ring.exceptions)
    made.exits = sum(1 << number for number in ring.exits)
    made.ports = bool(ring.ports)
    made.rings = sum(1 << ring_number for ring_number in ring.rings or range(4))
    if len(ring.addresses) > _ADDRESSES or len(ring.spaces) > _SPACES:
        raise TraceError(f"a filter can name {_ADDRESSES} ranges of addresses and {_SPACES} CR3 at most; name fewer")
    _ranges(made, "addresses", "address", ring.addresses)
    made.spaces = len(ring.spaces)
    for index, cr3 in enumerate(sorted(ring.spaces)):
        made.space[index] = cr3
    if ring.callers:
        _ranges(made, "callers", "caller", _callers(ring.callers, functions))


def _callers(patterns: list[str], functions: Functions) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for pattern in patterns:
        fitting = functions(lambda name, pattern=pattern: fnmatchcase(name, pattern))  # type: ignore[misc]
        if not fitting:
            raise TraceError(f"the kernel has no function '{pattern}'; a stripped kernel has no names at all")
        found += fitting
    merged: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    if len(merged) > _CALLERS:
        raise TraceError(f"the functions named are {len(merged)} pieces of the kernel, and the monitor can tell "
                         f"{_CALLERS} apart; name fewer")
    return merged


def _ranges(made: Any, count: str, name: str, ranges: list[tuple[int, int]]) -> None:
    setattr(made, count, len(ranges))
    for index, (first, last) in enumerate(ranges):
        place = getattr(made, name)[index]
        place.first, place.last = first, last
