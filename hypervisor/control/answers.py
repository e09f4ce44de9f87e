"""What a control socket tells of a running guest, as JSON values.

The guest runs meanwhile, so figures that belong together may be a moment apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypervisor.control import tracing
from hypervisor.control.request import Request
from hypervisor.inventory import devices
from hypervisor.report import absences, counters
from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.text import text_screen

if TYPE_CHECKING:
    from hypervisor.domain import Domain

_BLOCK = 512  # bytes that st_blocks counts in (stat(2))
_STATES = {0: "starting", 1: "running", 2: "idle", 3: "running", 4: "ended"}  # control.run_state


def status(domain: Domain | None, request: Request) -> dict[str, Any]:
    """The guest in a line: `uptime` in seconds, `memory` in bytes. Its machine may only be under construction."""
    known = {"name": request.name, "pid": os.getpid(), "uptime": time.monotonic() - request.started}
    if domain is None:
        return known | {"state": "starting"}
    return known | {
        "state": _STATES.get(domain.control.run_state, "running"),
        "memory": domain.config.memory,
        "kernel": str(domain.config.kernel.absolute()),
    }


def information(domain: Domain, request: Request) -> dict[str, Any]:
    """All that is known of the guest. `resident`: bytes of its memory that exist on the host."""
    return status(domain, request) | {
        "append": domain.config.append,
        "resident": os.fstat(domain.memory.fd).st_blocks * _BLOCK,
        "processes": domain.engine.pids,
        "disks": [str(disk.path.absolute()) for disk in domain.config.disks],
        "screen": _mode(domain),
        "counters": counters(domain),
        "devices": devices(domain),
        "absent": [
            {"kind": kind, "address": address, "reads": reads, "writes": writes}
            for kind, address, reads, writes in absences(domain.bus)
        ],
    }


def _mode(domain: Domain) -> str:
    snapshot = domain.vga.snapshot()
    if isinstance(snapshot, LinearSnapshot):
        shown = snapshot.shown
        return f"framebuffer, {shown.width} x {shown.height}, {shown.depth} bits a pixel"
    if snapshot.is_text:
        screen = text_screen(snapshot)
        return f"text, {screen.columns} columns, {screen.rows} rows"
    return "graphics"


def screenshot(domain: Domain, _request: Request) -> dict[str, Any]:
    """The registers and memory of the VGA, for the client to draw."""
    return domain.vga.snapshot().packed()


def stop(_domain: Domain | None, request: Request) -> dict[str, Any]:
    """Nothing but whose end is to be waited for; the server ends the guest when this has been sent."""
    return {"name": request.name, "pid": os.getpid()}


WITHOUT_DOMAIN = ("status", "stop")  # what can be asked of a guest whose machine is not there yet
COMMANDS: dict[str, Callable[[Any, Request], dict[str, Any]]] = {
    "status": status,
    "info": information,
    "screenshot": screenshot,
    "stop": stop,
    "trace-start": tracing.start,
    "trace-stop": tracing.stop,
    "trace-dump": tracing.dump,
}
