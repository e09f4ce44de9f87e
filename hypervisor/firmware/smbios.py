"""SMBIOS tables: what the machine says of itself to people.

Source: DMTF DSP0134, SMBIOS 2.8, chapters 5 (entry point), 6 and 7 (structures).
"""

from __future__ import annotations

import struct

from hypervisor.cpu_model import CpuModel
from hypervisor.firmware.rom import Rom, checksummed
from hypervisor.memory_map import HIGH, KIB, MIB, ROM

MAJOR, MINOR = 2, 8
ENTRY_SIZE = 31
_MAKER, _VERSION = "ring3", "1"
_UNKNOWN, _SAFE = 2, 3  # of most enumerations
_NO_ERROR_HANDLE, _NO_CACHE, _NO_WIDTH = 0xFFFE, 0xFFFF, 0xFFFF
_CENTRAL, _POWER_SWITCH, _DIMM, _RAM = 3, 6, 9, 7
_SYSTEM_BOARD, _SYSTEM_MEMORY, _NO_CORRECTION = 3, 3, 3
_IN_USE = 0x41  # a processor: in its socket, enabled
_UNSUPPORTED = 1 << 3  # of BIOS characteristics
_SIZE_IN_KIB = 0x8000  # of a memory device's size

BIOS, SYSTEM, CHASSIS, PROCESSOR = 0, 1, 3, 4
MEMORY_ARRAY, MEMORY_DEVICE, MAPPED_ADDRESS, BOOT, END = 16, 17, 19, 32, 127


def place_smbios(rom: Rom, memory: int, cpu: CpuModel) -> bytes:
    """Put the tables of a machine with `memory` bytes of RAM into the BIOS area; returns the entry point."""
    structures = _structures(memory, cpu)
    data = b"".join(structures)
    table = rom.place(data)
    longest = max(len(one) for one in structures)
    middle = checksummed(struct.pack("<5sBHIHB", b"_DMI_", 0, len(data), table, len(structures), MAJOR << 4 | MINOR), 5)
    head = struct.pack("<4sBBBBHB5x", b"_SM_", 0, ENTRY_SIZE, MAJOR, MINOR, longest, 0)
    entry = checksummed(head + middle, 4)
    rom.place(entry)
    return entry


def _structure(kind: int, layout: str, *values: int | bytes, strings: tuple[str, ...] = ()) -> bytes:
    """One structure; its handle is its type, as there is one of each."""
    fields = struct.pack("<" + layout, *values)
    texts = b"".join(text.encode() + b"\0" for text in strings)
    return struct.pack("<BBH", kind, 4 + len(fields), kind) + fields + (texts or b"\0") + b"\0"


def _structures(memory: int, cpu: CpuModel) -> list[bytes]:
    """By type; where a field is a string, its value is the string's number."""
    in_kib = memory // KIB
    size = memory // MIB if memory % MIB == 0 or in_kib >= _SIZE_IN_KIB else in_kib | _SIZE_IN_KIB
    rom_units = (HIGH - ROM) // (64 * KIB) - 1
    return [
        _structure(
            BIOS, "BBHBBQ6B", 1, 2, ROM >> 4, 3, rom_units, _UNSUPPORTED, 1, 0, 1, 0, 0xFF, 0xFF,
            strings=(_MAKER, _VERSION, "01/01/2024"),
        ),
        _structure(SYSTEM, "4B16s3B", 1, 2, 3, 0, bytes(16), _POWER_SWITCH, 0, 0, strings=(_MAKER, "PC", _VERSION)),
        _structure(
            CHASSIS, "9BI5B", 1, _UNKNOWN, 0, 0, 0, _SAFE, _SAFE, _SAFE, _UNKNOWN, 0, 0, 1, 0, 0, 0, strings=(_MAKER,)
        ),
        _structure(
            PROCESSOR, "4BII2B3H2B3H6B2H", 1, _CENTRAL, _UNKNOWN, 2, cpu.signature, cpu.edx, 3, 0, 0, 0, 0,
            _IN_USE, _UNKNOWN, _NO_CACHE, _NO_CACHE, _NO_CACHE, 0, 0, 0, 1, 1, 1, 0, _UNKNOWN,
            strings=("CPU 0", "GenuineIntel", "ring3 virtual CPU"),
        ),
        _structure(
            MEMORY_ARRAY, "3BI2HQ", _SYSTEM_BOARD, _SYSTEM_MEMORY, _NO_CORRECTION, in_kib, _NO_ERROR_HANDLE, 1, 0
        ),
        _structure(
            MEMORY_DEVICE, "5H5B2H5BI4H", MEMORY_ARRAY, _NO_ERROR_HANDLE, _NO_WIDTH, _NO_WIDTH, size, _DIMM, 0, 1, 0,
            _RAM, 1 << 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, strings=("DIMM 0",),
        ),
        _structure(MAPPED_ADDRESS, "IIHBQQ", 0, in_kib - 1, MEMORY_ARRAY, 1, 0, 0),
        _structure(BOOT, "6xB", 0),
        _structure(END, ""),
    ]  # fmt: skip
