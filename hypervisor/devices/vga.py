"""VGA registers in text mode; the text itself is plain guest RAM at 0xb8000.

Registers keep what is written to them, those behind index ports without an exit. The input status register
alternates its retrace bits, so that loops that wait for a retrace end. Source: IBM PS/2 Hardware Technical
Reference, "Video Subsystem".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypervisor.bus import Bus, ByteDevice
from hypervisor.memory_map import VGA_TEXT

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

ATTRIBUTE, ATTRIBUTE_READ, MISC_WRITE = 0x3C0, 0x3C1, 0x3C2
SEQUENCER, DAC_MASK, DAC_READ, DAC_WRITE, DAC_DATA = 0x3C4, 0x3C6, 0x3C7, 0x3C8, 0x3C9
MISC_READ, GRAPHICS, CRTC, STATUS = 0x3CC, 0x3CE, 0x3D4, 0x3DA

MISC_RESET = 0x67  # colour addresses at 0x3Dx, RAM enabled, 28 MHz
DISPLAY_DISABLED, VERTICAL_RETRACE = 0x01, 0x08
START_HIGH, START_LOW, CURSOR_HIGH, CURSOR_LOW = 12, 13, 14, 15
COLUMNS, ROWS = 80, 25
_PAGE_SIZE = 0x8000
_DAC_BYTES = 768
_INDEXED = (SEQUENCER, GRAPHICS, CRTC)


class Vga(ByteDevice):
    """Registers of a VGA in colour text mode, 80 columns by 25 rows."""

    name = "VGA"
    ports = (range(0x3C0, 0x3D0), range(CRTC, CRTC + 2), range(STATUS, STATUS + 1))

    def __init__(self) -> None:
        self._attributes, self._attribute_index, self._attribute_data = bytearray(32), 0, False
        self._dac, self._dac_read, self._dac_write, self._dac_mask = bytearray(_DAC_BYTES), 0, 0, 0xFF
        self._misc, self._retrace = MISC_RESET, False

    def attach(self, bus: Bus) -> None:
        super().attach(bus)
        self._registers = {port: bus.register_file(port) for port in _INDEXED}

    def read(self, port: int) -> int:
        if port == STATUS:
            self._attribute_data = False
            self._retrace = not self._retrace
            return DISPLAY_DISABLED | VERTICAL_RETRACE if self._retrace else 0
        if port == DAC_DATA:
            value = self._dac[self._dac_read]
            self._dac_read = (self._dac_read + 1) % _DAC_BYTES
            return value
        return {
            ATTRIBUTE: self._attribute_index,
            ATTRIBUTE_READ: self._attributes[self._attribute_index & 31],
            MISC_READ: self._misc,
            DAC_MASK: self._dac_mask,
            DAC_READ: 0,
            DAC_WRITE: self._dac_write // 3,
        }.get(port, 0)

    def write(self, port: int, value: int) -> None:
        if port == ATTRIBUTE:
            if self._attribute_data:
                self._attributes[self._attribute_index & 31] = value
            else:
                self._attribute_index = value & 63
            self._attribute_data = not self._attribute_data
        elif port == MISC_WRITE:
            self._misc = value
        elif port == DAC_MASK:
            self._dac_mask = value
        elif port == DAC_READ:
            self._dac_read = value * 3
        elif port == DAC_WRITE:
            self._dac_write = value * 3
        elif port == DAC_DATA:
            self._dac[self._dac_write] = value & 63
            self._dac_write = (self._dac_write + 1) % _DAC_BYTES

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column of the cursor."""
        position = self._cell(CURSOR_HIGH, CURSOR_LOW) - self._start()
        return divmod(max(position, 0), COLUMNS)

    def _start(self) -> int:
        """Character cell of the screen's upper left corner."""
        return self._cell(START_HIGH, START_LOW)

    def _cell(self, high: int, low: int) -> int:
        crtc = self._registers[CRTC]
        return crtc[high] << 8 | crtc[low]

    def text(self, memory: GuestMemory) -> str:
        """The screen as text, without trailing spaces and empty lines at the end."""
        page = memory.read(VGA_TEXT, _PAGE_SIZE)[::2].decode("cp437")
        page = page.translate({0: " "})
        first = self._start()
        lines = []
        for row in range(ROWS):
            at = (first + row * COLUMNS) % len(page)
            lines.append((page + page)[at : at + COLUMNS].rstrip())
        return "\n".join(lines).rstrip("\n")
