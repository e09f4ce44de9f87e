"""CMOS memory: sizes of RAM and the checksum. (The clock in it: tests/hypervisor/chips/test_rtc.py.)"""

from __future__ import annotations

import pytest

from hypervisor.devices.cmos import cmos_memory
from hypervisor.memory_map import GIB, MIB


@pytest.mark.parametrize(
    ("memory", "kib_above_1m", "above_16m"), [(2 * MIB, 1024, 0), (32 * MIB, 31 * 1024, 256), (GIB, 0xFFFF, 0x3F00)]
)
def test_memory_sizes(memory: int, kib_above_1m: int, above_16m: int) -> None:
    ram = cmos_memory(memory)
    assert [ram[at] | ram[at + 1] << 8 for at in (0x15, 0x17, 0x30, 0x34)] == [
        640, kib_above_1m, kib_above_1m, above_16m
    ]  # fmt: skip
    assert sum(ram[0x10:0x2E]) == ram[0x2E] << 8 | ram[0x2F]
