"""The BIOS area at 0xf0000: its fixed places, and room for tables that are found by their signatures."""

from __future__ import annotations

from hypervisor.memory_map import HIGH, ROM

_IRET_OFFSET = 0xFF53  # where every BIOS since the PC keeps a bare IRET
_RESET_OFFSET = 0xFFF0
_TABLES_END = 0xE000  # fixed entry points of the PC's BIOS begin behind it
_JUMP_TO_ITSELF = b"\xea\xf0\xff\x00\xf0"  # far jump to F000:FFF0, never run
_BIOS_DATE = b"01/01/24\0"  # at F000:FFF5
_MODEL_AT = b"\xfc"  # at F000:FFFE

DUMMY_VECTOR = (ROM >> 4) << 16 | _IRET_OFFSET  # segment:offset of an IRET


def checksummed(data: bytes, at: int) -> bytes:
    """`data` with the byte at offset `at` set so that all bytes sum to 0."""
    return data[:at] + bytes([-(sum(data) - data[at]) & 0xFF]) + data[at + 1 :]


class Rom:
    """The 64 KiB from ROM on; `data` is what they hold."""

    def __init__(self) -> None:
        self.data = bytearray(HIGH - ROM)
        self._next = 0
        self.data[_IRET_OFFSET] = 0xCF
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
