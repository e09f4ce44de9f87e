"""States of a real kernel to unwind: what a run of it with --stack recorded."""

from __future__ import annotations

import random
from pathlib import Path

from debuginfo.unwind import State
from hypercalls.structs import TraceKind
from hypervisor.console import NoConsole
from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.trace.reader import open_trace
from hypervisor.trace.recording import TraceConfig
from hypervisor.trace.stacks import states_of

STACK = 2048  # bytes: whole stacks of the sample kernels


def record(kernel: Path, trace: Path) -> Path:
    """Run `kernel` to its end and record it with its stacks."""
    with Domain(DomainConfig(kernel, memory=64 * MIB, trace=TraceConfig(trace, stack=STACK))) as domain:
        domain.build()
        domain.run(NoConsole())
    return trace


def distinct(trace: Path, count: int, seed: int = 1) -> list[State]:
    """`count` states, by chance, no two of them at one place in one caller."""
    found: dict[tuple[int, bytes], State] = {}
    for records, states in states_of(open_trace(trace)):
        for kind, state in zip(records["kind"].tolist(), states, strict=True):
            if state and kind != TraceKind.INTERRUPT and len(state.stack) > 64:
                found.setdefault((state.eip, state.stack[:64]), state)
    return random.Random(seed).sample(list(found.values()), min(count, len(found)))
