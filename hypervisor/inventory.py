"""What a machine consists of: its devices, with their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypervisor.memory_map import IOAPIC, LAPIC

if TYPE_CHECKING:
    from hypervisor.domain import Domain

PAGE = layout.PAGE_SIZE


def devices(domain: Domain) -> list[dict[str, Any]]:
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
