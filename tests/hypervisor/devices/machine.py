"""A bus with devices on it and the guest's view of their ports."""

from __future__ import annotations

from hypervisor.bus import Bus, Device
from tests.hypervisor.fakes import FakeMemory, FakeState, GuestPorts


class Machine:
    """Devices without an engine; `irqs` lists the lines in the order in which they were pulsed or raised."""

    def __init__(self, *devices: Device) -> None:
        self.memory, self.state, self.irqs = FakeMemory(), FakeState(), list[int]()
        self.bus = Bus(self.memory, self.state, self.irqs.append, self._drive)
        for device in devices:
            self.bus.add(device)
        self.ports = GuestPorts(self.bus, self.state)
        self.in_, self.out = self.ports.in_, self.ports.out
        self.rep_in, self.rep_out = self.ports.rep_in, self.ports.rep_out

    def _drive(self, line: int, high: bool) -> None:
        if high:
            self.irqs.append(line)
