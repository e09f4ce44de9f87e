"""What a control socket tells of a running guest, as JSON values.

The guest runs meanwhile, so figures that belong together may be a moment apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypervisor.memory_map import IOAPIC, LAPIC
from hypervisor.report import absences, counters
from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.text import text_screen

if TYPE_CHECKING:
    from hypervisor.domain import Domain

PAGE = layout.PAGE_SIZE
_BLOCK = 512  # bytes that st_blocks counts in (stat(2))
_STATES = {0: "starting", 1: "running", 2: "idle", 3: "running", 4: "ended"}  # control.run_state


def status(domain: Domain | None, name: str, started: float) -> dict[str, Any]:
    """The guest in a line: `uptime` in seconds, `memory` in bytes. Its machine may only be under construction."""
    known = {"name": name, "pid": os.getpid(), "uptime": time.monotonic() - started}
    if domain is None:
        return known | {"state": "starting"}
    return known | {
        "state": _STATES.get(domain.control.run_state, "running"),
        "memory": domain.config.memory,
        "kernel": str(domain.config.kernel.absolute()),
    }


def information(domain: Domain, name: str, started: float) -> dict[str, Any]:
    """All that is known of the guest. `resident`: bytes of its memory that exist on the host."""
    return status(domain, name, started) | {
        "append": domain.config.append,
        "resident": os.fstat(domain.memory.fd).st_blocks * _BLOCK,
        "processes": domain.engine.pids,
        "disks": [str(disk.path.absolute()) for disk in domain.config.disks],
        "screen": _mode(domain),
        "counters": counters(domain),
        "devices": _devices(domain),
        "absent": [
            {"kind": kind, "address": address, "reads": reads, "writes": writes}
            for kind, address, reads, writes in absences(domain.bus)
        ],
    }


def _devices(domain: Domain) -> list[dict[str, Any]]:
    """Devices with their ports and addresses, first and last: those of the monitor, then those on the VMM's bus."""
    found: dict[str, dict[str, Any]] = {}
    for served, device in domain.shared.monitor_ports:
        entry = found.setdefault(device.name, {"name": device.name, "ports": [], "memory": []})
        entry["ports"].append([served.start, served.stop - 1])
    found["VGA"]["memory"].append([layout.VGA_MEMORY, layout.VGA_MEMORY + layout.VGA_MEMORY_SIZE - 1])
    for name, address in (("local APIC", LAPIC), ("I/O APIC", IOAPIC)):
        found[name] = {"name": name, "ports": [], "memory": [[address, address + PAGE - 1]]}
    for on_bus in domain.bus.devices:
        found.setdefault(on_bus.name, {
            "name": on_bus.name,
            "ports": [[ports.start, ports.stop - 1] for ports in on_bus.ports],
            "memory": [[area.start, area.stop - 1] for area in on_bus.mmio],
        })  # fmt: skip
    return list(found.values())


def _mode(domain: Domain) -> str:
    snapshot = domain.vga.snapshot()
    if isinstance(snapshot, LinearSnapshot):
        shown = snapshot.shown
        return f"framebuffer, {shown.width} x {shown.height}, {shown.depth} bits a pixel"
    if snapshot.is_text:
        screen = text_screen(snapshot)
        return f"text, {screen.columns} columns, {screen.rows} rows"
    return "graphics"


def screenshot(domain: Domain, _name: str, _started: float) -> dict[str, Any]:
    """The registers and memory of the VGA, for the client to draw."""
    return domain.vga.snapshot().packed()


def stop(_domain: Domain | None, name: str, _started: float) -> dict[str, Any]:
    """Nothing but whose end is to be waited for; the server ends the guest when this has been sent."""
    return {"name": name, "pid": os.getpid()}


WITHOUT_DOMAIN = ("status", "stop")  # what can be asked of a guest whose machine is not there yet
COMMANDS: dict[str, Callable[[Any, str, float], dict[str, Any]]] = {
    "status": status,
    "info": information,
    "screenshot": screenshot,
    "stop": stop,
}
