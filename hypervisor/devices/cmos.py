"""MC146818 real-time clock and CMOS memory (ports 0x70 and 0x71).

The clock follows the host's UTC plus what the guest set; BCD or binary, 24 or 12 hours, as register B
says. Its interrupt is not wired: no register C flag is ever set.
Source: Motorola MC146818A data sheet; memory bytes as PC BIOSes and QEMU keep them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypervisor.bus import Bus, ByteDevice
from hypervisor.memory_map import EBDA, HIGH, KIB, MIB

INDEX, DATA = 0x70, 0x71
SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR = 0, 2, 4, 6, 7, 8, 9
REG_A, REG_B, REG_C, REG_D = 10, 11, 12, 13
CENTURY = 0x32
CLOCK = (SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY)

UPDATE_IN_PROGRESS = 0x80  # register A
SET, BINARY, HOURS_24 = 0x80, 0x04, 0x02  # register B
VALID = 0x80  # register D: battery good
_PM = 0x80
_UPDATE_NS = 1_984_000  # how long an update takes, at the end of each second
_RATE = 0x26  # 32768 Hz time base, 1024 Hz rate: what a BIOS leaves


class Cmos(ByteDevice):
    """RTC and CMOS RAM of a machine with `memory` bytes of RAM; `clock` gives host time in ns."""

    name = "CMOS"
    ports = (range(INDEX, DATA + 1),)

    def __init__(self, memory: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._index = REG_D
        self._offset = timedelta()
        self._frozen: dict[int, int] | None = None  # the clock's fields while register B's SET stops it
        self._ram = bytearray(128)
        self._ram[REG_A], self._ram[REG_B] = _RATE, HOURS_24
        self._fill(memory)

    def attach(self, bus: Bus) -> None:
        super().attach(bus)
        bus.post([INDEX])

    def _fill(self, memory: int) -> None:
        """Memory sizes, in the four encodings that BIOSes use, and the checksum of the setup bytes."""

        def word(at: int, value: int) -> None:
            self._ram[at : at + 2] = min(value, 0xFFFF).to_bytes(2, "little")

        word(0x15, EBDA // KIB + 1)
        word(0x17, (memory - HIGH) // KIB)
        word(0x30, (memory - HIGH) // KIB)
        word(0x34, max(memory - 16 * MIB, 0) // (64 * KIB))
        self._ram[0x14] = 0x06  # equipment: FPU, mouse
        self._ram[0x2E:0x30] = (sum(self._ram[0x10:0x2E]) & 0xFFFF).to_bytes(2, "big")

    def read(self, port: int) -> int:
        if port == INDEX:
            return 0xFF
        index = self._index
        if index in CLOCK:
            return self._encode(index, self._fields()[index])
        if index == REG_A:
            updating = self._frozen is None and self._clock() % 10**9 >= 10**9 - _UPDATE_NS
            return self._ram[REG_A] | (UPDATE_IN_PROGRESS if updating else 0)
        if index == REG_D:
            return VALID
        return self._ram[index]

    def write(self, port: int, value: int) -> None:
        if port == INDEX:
            self._index = value & 0x7F  # bit 7 masks NMI, of which this machine has none
        elif self._index in CLOCK:
            self._set_clock(self._index, self._decode(self._index, value))
        elif self._index == REG_B:
            self._freeze(bool(value & SET))
            self._ram[REG_B] = value
        elif self._index == REG_A:
            self._ram[REG_A] = value & ~UPDATE_IN_PROGRESS
        elif self._index not in (REG_C, REG_D):
            self._ram[self._index] = value

    # --- the clock ----------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock() / 1e9, UTC) + self._offset

    def _fields(self) -> dict[int, int]:
        """The clock's registers as plain numbers."""
        if self._frozen is not None:
            return self._frozen
        now = self._now()
        return {
            SECONDS: now.second, MINUTES: now.minute, HOURS: now.hour, WEEKDAY: now.isoweekday() % 7 + 1,
            DAY: now.day, MONTH: now.month, YEAR: now.year % 100, CENTURY: now.year // 100,
        }  # fmt: skip

    def _set_clock(self, index: int, value: int) -> None:
        fields = dict(self._fields())
        fields[index] = value
        if self._frozen is not None:
            self._frozen = fields
        else:
            self._adopt(fields)

    def _freeze(self, stop: bool) -> None:
        if stop and self._frozen is None:
            self._frozen = self._fields()
        elif not stop and self._frozen is not None:
            fields, self._frozen = self._frozen, None
            self._adopt(fields)

    def _adopt(self, fields: dict[int, int]) -> None:
        """Let the clock go on from `fields`; a date that does not exist changes nothing."""
        year = fields[CENTURY] * 100 + fields[YEAR]
        try:
            wanted = datetime(
                year, fields[MONTH], fields[DAY], fields[HOURS], fields[MINUTES], fields[SECONDS], tzinfo=UTC
            )
            self._offset += wanted - self._now().replace(microsecond=0)
        except (ValueError, OverflowError):
            return

    def _encode(self, index: int, value: int) -> int:
        afternoon = 0
        if index == HOURS and not self._ram[REG_B] & HOURS_24:
            afternoon = _PM if value >= 12 else 0
            value = value % 12 or 12
        if not self._ram[REG_B] & BINARY:
            value = (value // 10 << 4 | value % 10) & 0xFF
        return value | afternoon

    def _decode(self, index: int, value: int) -> int:
        twelve_hours = index == HOURS and not self._ram[REG_B] & HOURS_24
        afternoon = twelve_hours and value & _PM
        if twelve_hours:
            value &= ~_PM
        if not self._ram[REG_B] & BINARY:
            value = (value >> 4) * 10 + (value & 15)
        if twelve_hours:
            value = value % 12 + (12 if afternoon else 0)
        return value
