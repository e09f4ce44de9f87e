"""CMOS memory as a PC's firmware leaves it. The monitor has the clock in it (`hypervisor/monitor/rtc.c`).

Source: memory bytes as PC BIOSes and QEMU keep them.
"""

from __future__ import annotations

from hypervisor.memory_map import EBDA, HIGH, KIB, MIB

SIZE = 128
EQUIPMENT = 0x06  # FPU, mouse
_CHECKED = range(0x10, 0x2E)  # the bytes that the checksum behind them covers


def cmos_memory(memory: int) -> bytes:
    """CMOS memory of a machine with `memory` bytes of RAM: its size in the four encodings that BIOSes use."""
    ram = bytearray(SIZE)

    def word(at: int, value: int) -> None:
        ram[at : at + 2] = min(value, 0xFFFF).to_bytes(2, "little")

    word(0x15, EBDA // KIB + 1)
    word(0x17, (memory - HIGH) // KIB)
    word(0x30, (memory - HIGH) // KIB)
    word(0x34, max(memory - 16 * MIB, 0) // (64 * KIB))
    ram[0x14] = EQUIPMENT
    ram[_CHECKED.stop : _CHECKED.stop + 2] = (sum(ram[_CHECKED.start : _CHECKED.stop]) & 0xFFFF).to_bytes(2, "big")
    return bytes(ram)
