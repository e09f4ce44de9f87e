"""The options that say what is recorded: of ``ring3 run --trace`` and of ``ring3 trace start``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hypercalls.layout import TRACE_STACK_MOST
from hypervisor.trace.format import TraceError
from hypervisor.trace.recording import TraceConfig
from hypervisor.trace.selection import Selection

_LONGEST = 86400.0  # seconds of a flight recorder
_DEFAULT_STACK = 512  # bytes: some ten frames of C


def add_recording_options(parser: argparse.ArgumentParser, prefix: str) -> None:
    """Add the options, their names begun with `prefix`."""
    add = parser.add_argument
    add(f"{prefix}only", default="", metavar="WHAT", help="record only this, for example mmu,port:0x3f8 "
        "(docs/tracing.md tells the words)")  # fmt: skip
    add(f"{prefix}caller", default="", metavar="GLOBS", help="record only what these functions ask for, for example "
        "'ide*,sleep'")  # fmt: skip
    add(f"{prefix}stack", nargs="?", type=int, const=_DEFAULT_STACK, default=0, metavar="BYTES", help="record the top "
        f"of the stack, too, for backtraces (default {_DEFAULT_STACK} bytes, at most {TRACE_STACK_MOST})")  # fmt: skip
    add(f"{prefix}last", type=float, default=0.0, metavar="SECONDS", help="be a flight recorder: remember the last "
        "SECONDS and write them when the guest ends")  # fmt: skip


def recording_config(options: argparse.Namespace, path: Path | None, prefix: str, fd: int = -1) -> TraceConfig | None:
    """What the options say; None without a `path`. TraceError where they make no sense."""

    def given(name: str) -> Any:
        return getattr(options, f"{prefix}{name}".lstrip("-").replace("-", "_"))

    if path is None:
        for name in ("only", "caller", "stack", "last"):
            if given(name):
                raise TraceError(f"{prefix}{name} needs --trace FILE")
        return None
    if not 0 <= given("stack") <= TRACE_STACK_MOST:
        raise TraceError(f"{prefix}stack {given('stack')} is no number of bytes up to {TRACE_STACK_MOST}")
    if not 0 <= given("last") <= _LONGEST:
        raise TraceError(f"{prefix}last {given('last'):g} is no time; give seconds up to {_LONGEST:.0f}")
    selection = Selection(given("only"), given("caller"))
    if selection != Selection():
        from hypervisor.trace.ring_filter import check

        check(selection)
    return TraceConfig(path, selection, given("stack") & ~3, given("last"), fd=fd)
