"""The 82540EM's EEPROM: its words, and the Microwire lines by which older drivers read it.

Source: Intel 317453-006, chapter 5 (contents, the checksum in 5.6.35) and 5.3.1 (Microwire: a start bit, two bits of
opcode, six of address, then sixteen of data, most significant first, each with a rising edge of the clock).
"""

from __future__ import annotations

from hypervisor.devices.e1000_registers import EECD_CLOCK, EECD_IN, EECD_OUT, EECD_SELECT

WORDS = 64
_CHECKSUM, _CHECKSUM_AT = 0xBABA, 0x3F
_READ, _COMMAND_BITS = 0b110, 9  # start bit and opcode; with six bits of address


def contents(mac: bytes, vendor: int, device: int) -> list[int]:
    """The words for a card with the station address `mac` (6 bytes)."""
    words = [0] * WORDS
    words[0:3] = [mac[0] | mac[1] << 8, mac[2] | mac[3] << 8, mac[4] | mac[5] << 8]
    words[0x0A:0x10] = [0x4408, device, vendor, device, vendor, 0x3040]
    words[_CHECKSUM_AT] = _CHECKSUM - sum(words) & 0xFFFF
    return words


class Microwire:
    """The serial side. `lines` is EECD as the driver wrote it last."""

    def __init__(self, words: list[int]) -> None:
        self._words = words
        self._lines = self._command = self._bits = self._shifted = 0
        self._out = 1

    def write(self, lines: int) -> None:
        """Take a new state of select, clock and data in."""
        rising = lines & ~self._lines & EECD_CLOCK
        self._lines = lines
        if not lines & EECD_SELECT:
            self._command = self._bits = 0
            self._out = 1
        elif rising:
            self._clock(bool(lines & EECD_IN))

    def _clock(self, bit: bool) -> None:
        if self._bits < _COMMAND_BITS:
            if not self._bits and not bit:
                return  # before the start bit
            self._command, self._bits = self._command << 1 | bit, self._bits + 1
            if self._bits == _COMMAND_BITS:
                self._shifted = self._words[self._command % WORDS] if self._command >> 6 == _READ else 0xFFFF
                self._out = 0  # a dummy bit, before the first data bit
            return
        self._out = self._shifted >> 15 & 1
        self._shifted = self._shifted << 1 & 0xFFFF

    @property
    def out(self) -> int:
        """The data-out bit of EECD."""
        return EECD_OUT if self._out else 0
