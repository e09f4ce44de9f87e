"""The state file: what the monitor and the VMM share (hypercalls/layout.py).

Whatever the guest's processes can write is the guest's word: readers copy a field once and check it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Any

from hypercalls import ABI_VERSION, layout
from hypercalls.structs import ABI_MAGIC, CONTROL, SHARED, VCPU, MonitorDevice, PortClass

# Ports that the monitor always serves itself: first, last, device.
_MONITOR_PORTS = (
    (0x20, 0x21, MonitorDevice.PIC),
    (0xA0, 0xA1, MonitorDevice.PIC),
    (0x4D0, 0x4D1, MonitorDevice.ELCR),
    (0x40, 0x43, MonitorDevice.PIT),
    (0x61, 0x61, MonitorDevice.PIT),
    (0x70, 0x71, MonitorDevice.RTC),
    (0x600, 0x603, MonitorDevice.PM),
    (0x608, 0x60B, MonitorDevice.PM),
    (0x3B4, 0x3B5, MonitorDevice.VGA),
    (0x3BA, 0x3BA, MonitorDevice.VGA),
    (0x3C0, 0x3CF, MonitorDevice.VGA),
    (0x3D4, 0x3D5, MonitorDevice.VGA),
    (0x3DA, 0x3DA, MonitorDevice.VGA),
)
SERIAL_PORTS = (0x3F8, 0x2F8, 0x3E8, 0x2E8)  # first port of each UART, as in every PC
_UART_PORTS = 8
IA32_PAT_RESET = 0x0007_0406_0007_0406  # SDM vol. 3, 11.12.4
IA32_APIC_BASE_RESET = 0xFEE0_0900  # enabled, boot CPU


class StateFile:
    """A fresh state file with room for `trace_slots` trace records (a power of two, or 0)."""

    def __init__(self, trace_slots: int = 0) -> None:
        size = layout.TRACE_OFFSET + trace_slots * layout.TRACE_RECORD_SIZE
        self.fd = os.memfd_create("ring3-state", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, size)
        self._map = mmap.mmap(self.fd, size)
        self.control: Any = CONTROL.ctype.from_buffer(self._map, layout.CONTROL_OFFSET)
        self.vcpu: Any = VCPU.ctype.from_buffer(self._map, layout.VCPU_OFFSET)
        self.shared: Any = SHARED.ctype.from_buffer(self._map, layout.SHARED_OFFSET)
        self._ports_in = (ctypes.c_uint16 * 65536).from_buffer(self._map, layout.IN_MAP_OFFSET)
        self._ports_out = (ctypes.c_uint16 * 65536).from_buffer(self._map, layout.OUT_MAP_OFFSET)
        self.control.magic = ABI_MAGIC
        self.control.abi_version = ABI_VERSION
        self.control.trace_slots = self.trace_slots = trace_slots
        self.vcpu.apic_base = IA32_APIC_BASE_RESET
        self.vcpu.pat = IA32_PAT_RESET
        self.vcpu.misc_enable = 1
        self.vcpu.a20 = 1
        self.monitor_ports: list[tuple[range, MonitorDevice]] = []  # what the monitor serves itself
        for first, last, device in _MONITOR_PORTS:
            self._monitor_serves(range(first, last + 1), device)
        self.add_serial(0)

    def _monitor_serves(self, ports: range, device: MonitorDevice) -> None:
        self.monitor_ports.append((ports, device))
        for port in ports:
            self.set_port_in(port, PortClass.MONITOR, device)
            self.set_port_out(port, PortClass.MONITOR, device)

    def add_serial(self, number: int) -> None:
        """Let the machine have serial port `number`, 0 to 3. It has the first, the console, from the start."""
        first = SERIAL_PORTS[number]
        self._monitor_serves(range(first, first + _UART_PORTS), MonitorDevice.UART)
        self.control.serial[number].present = 1

    def window(self, offset: int, size: int) -> memoryview:
        """Bytes [offset, offset + size) of the state file, writable."""
        return memoryview(self._map)[offset : offset + size]

    def set_port_in(self, port: int, kind: PortClass, index: int = 0) -> None:
        """Who answers reads of `port`."""
        self._ports_in[port] = kind << 12 | index

    def set_port_out(self, port: int, kind: PortClass, index: int = 0) -> None:
        """Who takes writes to `port`."""
        self._ports_out[port] = kind << 12 | index

    def is_free(self, port: int) -> bool:
        """Whether the monitor leaves `port` to the VMM."""
        return not self._ports_in[port] >> 12 and not self._ports_out[port] >> 12

    def close(self) -> None:
        """Release the descriptor. The mapping goes with the last view of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
