"""Ports by which a machine ends or restarts itself.

0xf4     debug exit: status (value << 1) | 1, as QEMU's isa-debug-exit
0xcf9    reset control (Intel PIIX3): bit 2 resets
0x92     system control port A (IBM PS/2): bit 0 resets, bit 1 is A20
0x604, 0xb004, 0x4004  ACPI's PM1a_CNT as QEMU, Bochs and VirtualBox place it: SLP_EN with the type of S5 switches
         off. The tables show the first; kernels without an interpreter know the others

Source: ACPI 6.5, 4.8.3.2.1. The registers beside it are the monitor's (acpi.c).
"""

from __future__ import annotations

from hypervisor.bus import ByteDevice, Device, MachineStop

DEBUG_EXIT = 0xF4
RESET_CONTROL = 0xCF9
RESET_VALUE = 6  # to RESET_CONTROL: a hard reset
PORT_A = 0x92
PM1_EVENT, PM1_CONTROL, PM_TIMER = 0x600, 0x604, 0x608
SCI_ENABLED, SLEEP_ENABLE = 1 << 0, 1 << 13
_KEPT = 7 << 10 | 1 << 1  # SLP_TYP and BM_RLD
SLEEP_TYPE_S5 = {PM1_CONTROL: 0, 0xB004: 0, 0x4004: 5}  # value of SLP_TYP that means off


class DebugExit(Device):
    """Ends the run with a status that the guest chooses."""

    name = "debug exit"
    ports = (range(DEBUG_EXIT, DEBUG_EXIT + 4),)

    def port_out(self, port: int, size: int, value: int) -> None:
        raise MachineStop("exit", (value << 1 | 1) & 0xFF, f"debug exit with value {value:#x}")


class ResetControl(ByteDevice):
    """0xcf9 and 0x92."""

    name = "reset control"
    ports = (range(RESET_CONTROL, RESET_CONTROL + 1), range(PORT_A, PORT_A + 1))

    def __init__(self) -> None:
        self._values = {RESET_CONTROL: 0, PORT_A: 2}

    def read(self, port: int) -> int:
        return self._values[port]

    def write(self, port: int, value: int) -> None:
        if value & (4 if port == RESET_CONTROL else 1):
            raise MachineStop("reset", 0, f"reset by port {port:#x}")
        self._values[port] = value & (2 if port == PORT_A else 0xFF)


class PowerOff(Device):
    """PM1a_CNT. The machine is always in ACPI mode; there is no sleep but the last."""

    name = "power management"
    ports = tuple(range(port, port + 2) for port in SLEEP_TYPE_S5)

    def __init__(self) -> None:
        self._values = dict.fromkeys(SLEEP_TYPE_S5, 0)

    def port_in(self, port: int, size: int) -> int:
        value = SCI_ENABLED | self._values[port & ~1]
        return value >> 8 * (port & 1) if size == 1 else value

    def port_out(self, port: int, size: int, value: int) -> None:
        if size == 1:
            shift = 8 * (port & 1)
            port, value = port & ~1, self._values[port & ~1] & ~(0xFF << shift) | value << shift
        if value & SLEEP_ENABLE and value >> 10 & 7 == SLEEP_TYPE_S5.get(port, -1):
            raise MachineStop("poweroff", 0, f"power-off by port {port:#x}")
        self._values[port] = value & _KEPT
