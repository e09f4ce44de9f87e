"""The BIOS area at 0xf0000: its fixed places, and room for tables that are found by their signatures."""

from __future__ import annotations

from hypervisor.memory_map import HIGH, ROM

_IRET_OFFSET = 0xFF53  # where every BIOS since the PC keeps a bare IRET
_RESET_OFFSET = 0xFFF0
_TABLES_END = 0xE000  # fixed entry points of the PC's BIOS begin behind it
_JUMP_TO_ITSELF = b"\xea\xf0\xff\x00\xf0"  # far jump to F000:FFF0, never run
_BIOS_DATE = b"01/01/24\0"  # at F000:FFF5
_MODEL_AT = b"\xfc"  # at F000:FFFE

# Where services begin in the BIOS of the PC AT (IBM PC AT Technical Reference, BIOS listing), and since then in each
# that is compatible. Programs are known to rely on these, and be it by reading the vectors as something else.
_ENTRY_POINTS = {
    0x02: 0xE2C3, 0x05: 0xFF54, 0x08: 0xFEA5, 0x09: 0xE987, 0x0E: 0xEF57, 0x10: 0xF065, 0x11: 0xF84D, 0x12: 0xF841,
    0x13: 0xE3FE, 0x14: 0xE739, 0x15: 0xF859, 0x16: 0xE82E, 0x17: 0xEFD2, 0x19: 0xE6F2, 0x1A: 0xFE6E, 0x40: 0xEC59,
}  # fmt: skip
# Segment and offset of all interrupt vectors; an IRET is at each.
VECTORS = tuple((ROM >> 4) << 16 | _ENTRY_POINTS.get(number, _IRET_OFFSET) for number in range(256))


def checksummed(data: bytes, at: int) -> bytes:
    """`data` with the byte at offset `at` set so that all bytes sum to 0."""
    return data[:at] + bytes([-(sum(data) - data[at]) & 0xFF]) + data[at + 1 :]


class Rom:
    """The 64 KiB from ROM on; `data` is what they hold."""

    def __init__(self) -> None:
        self.data = bytearray(HIGH - ROM)
        self._next = 0
        for offset in (_IRET_OFFSET, *_ENTRY_POINTS.values()):
            self.data[offset] = 0xCF
        reset = _JUMP_TO_ITSELF + _BIOS_DATE + _MODEL_AT
        self.data[_RESET_OFFSET : _RESET_OFFSET + len(reset)] = reset

    def place(self, table: bytes) -> int:
        """Put `table` on the next paragraph (16 bytes), where firmware tables are looked for; its address.

        Raises ValueError where the area is full.
        """
        at, end = self._next, self._next + len(table)
        if end > _TABLES_END:
            raise ValueError(f"the BIOS area has no room for a table of {len(table)} bytes")
        self.data[at:end] = table
        self._next = (end + 15) & ~15
        return ROM + at
