"""Backtraces: which functions called each other when something was asked for, from the stacks that were recorded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from debuginfo.unwind import Backtrace, State
from hypercalls.structs import TRACE_STACK, TraceKind
from hypervisor.trace.callers import USER_RING
from hypervisor.trace.chunks import Records, joined, taken

if TYPE_CHECKING:
    from hypervisor.trace.expression import Node
    from hypervisor.trace.reader import Trace

_HEAD = struct.Struct("<6I")  # EBX, ESI, EDI, EBP, base of SS, bytes of stack (hypercalls.structs.TRACE_STACK)
_FIRST_WORD = TRACE_STACK.offset("words") // 4


def with_backtraces(trace: Trace, where: Node | str | None = None) -> Iterator[tuple[Records, list[Backtrace | None]]]:
    """The records of the kernel for which `where` holds, in the order in which they began, each with its backtrace.

    A record whose stack was not recorded has None: user code, what happened within another operation, all of a trace
    that was recorded without --stack.
    """
    unwind = trace.callers.unwinder.backtrace
    for records, states in states_of(trace, where):
        yield records, [unwind(state) if state else None for state in states]


def states_of(trace: Trace, where: Node | str | None = None) -> Iterator[tuple[Records, list[State | None]]]:
    """As `with_backtraces`, with the registers and the stack that were recorded."""
    from hypervisor.trace.grammar import parse

    node = parse(where) if isinstance(where, str) else where
    rest: Records | None = None
    for batch in trace.ordered(stacks=True):
        records = batch if rest is None else joined([rest, batch])
        real = np.flatnonzero(records["kind"] != TraceKind.STACK)
        end = int(real[-1]) + 1 if len(real) else 0
        rest = records[end:]  # stacks whose record comes next
        first = np.concatenate(([0], real[:-1] + 1)) if len(real) else real
        kernel = records["cpl"][real] != USER_RING
        wanted = kernel & node.mask(trace.columns(taken(records, real))) if node else kernel
        chosen, begins = real[wanted], first[wanted]
        words = records.view(np.uint32).reshape(len(records), -1)[:, _FIRST_WORD:]
        eips, esps = records["eip"][chosen].tolist(), records["esp"][chosen].tolist()
        found: list[State | None] = []
        for index, begin, eip, esp in zip(chosen.tolist(), begins.tolist(), eips, esps, strict=True):
            sane = begin < index and records["tsc"][begin] == records["tsc"][index] and not records["number"][begin]
            data = words[begin:index].tobytes() if sane else b""
            found.append(_state(eip, esp, data) if sane else None)
        if len(chosen):
            yield taken(records, chosen), found


def _state(eip: int, esp: int, data: bytes) -> State:
    _, _, _, ebp, _, size = _HEAD.unpack_from(data)
    return State(eip, esp, ebp, data[_HEAD.size : _HEAD.size + size])
