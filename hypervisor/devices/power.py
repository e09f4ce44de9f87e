"""Ports by which a machine ends or restarts itself.

0xf4     debug exit: status (value << 1) | 1, as QEMU's isa-debug-exit
0xcf9    reset control (Intel PIIX3): bit 2 resets
0x92     system control port A (IBM PS/2): bit 0 resets, bit 1 is A20
0x604, 0xb004, 0x4004  power-off by ACPI's PM1a_CNT as QEMU, Bochs and VirtualBox place it: SLP_EN
"""

from __future__ import annotations

from hypervisor.bus import ByteDevice, Device, MachineStop

DEBUG_EXIT = 0xF4
RESET_CONTROL = 0xCF9
PORT_A = 0x92
SLEEP_ENABLE = 1 << 13
PM1A_CONTROL = (0x604, 0xB004, 0x4004)
SLEEP_TYPE_S5 = {0x604: 0, 0xB004: 0, 0x4004: 5}  # value of SLP_TYP (bits 10-12) that means off


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
    """The power management control registers that kernels without an ACPI interpreter know."""

    name = "power management"
    ports = tuple(range(port, port + 2) for port in PM1A_CONTROL)

    def port_in(self, port: int, size: int) -> int:
        return 0

    def port_out(self, port: int, size: int, value: int) -> None:
        if value & SLEEP_ENABLE and value >> 10 & 7 == SLEEP_TYPE_S5.get(port, -1):
            raise MachineStop("poweroff", 0, f"power-off by port {port:#x}")
