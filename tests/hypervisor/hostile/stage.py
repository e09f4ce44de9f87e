"""Guests that try one piece of hostile code after another.

A dispatcher with a GDT, an IDT and a TSS runs the pieces in turn; a piece that returns, faults or is
interrupted leads to the next one. After the last, the guest ends itself by the debug-exit port. All of
it is unported code, so traps and gates are both met.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from hypercalls import layout
from tests.hypervisor.hostile import code

BASE = 0x10_0000
DISPATCHER, GDT, IDT, TSS, TABLE, COUNTER = (BASE + n * 0x1000 for n in range(1, 7))
STACK = BASE + 0x8000
PAGES = BASE + 0x1_0000  # 64 KiB for page tables
PIECES = BASE + 0x2_0000
PIECE_SIZE = 0x1000
TIMER_VECTOR = 0x20

KERNEL_CS, KERNEL_DS, USER_CS, USER_DS, TSS_SELECTOR, LDT_SELECTOR = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
GDT_ENTRIES = (
    0, 0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF, 0x00CF_FA00_0000_FFFF, 0x00CF_F200_0000_FFFF,
    0x0000_8900_0000_0067 | (TSS & 0xFF_FFFF) << 16, 0x0000_8200_0000_00FF | (GDT & 0xFF_FFFF) << 16,
)  # fmt: skip

Piece = Callable[[int, int], bytes]  # from the address at which it will run and the slide


def plain(data: bytes) -> Piece:
    """A piece that does not care where it runs."""
    return lambda _address, _slide: data


def in_long_mode(data: bytes) -> Piece:
    """A piece whose `data` is 64-bit code. There is no segment base there: addresses are the host's."""

    def make(address: int, slide: int) -> bytes:
        stack = code.mov64(code.ESP, STACK + slide)
        back = code.far_return64(layout.host_selector(KERNEL_CS) | 3, DISPATCHER)
        return code.far_jump(code.LONG_MODE, address + slide + 7) + stack + data + stack + back

    return make


def in_ring_3(piece: Piece) -> Piece:
    """Another piece, run as the guest's user code."""

    def make(address: int, slide: int) -> bytes:
        frame = (USER_CS, 0x3202, STACK - 0x800, USER_DS)
        entry = address + len(code.interrupt_return((0, *frame)))
        return code.interrupt_return((entry, *frame)) + piece(entry, slide)

    return make


def _dispatcher() -> bytes:
    reload = b"\x66\xb8\x10\x00\x8e\xd0" + code.mov(code.ESP, STACK) + b"\x8e\xd8\x8e\xc0\x8e\xe0\x8e\xe8"
    chosen = b"\xff\x05" + code.long(COUNTER) + code.load(COUNTER) + b"\xff\x24\x85" + code.long(TABLE - 4)
    return reload + code.set_flags(2) + chosen


def _start() -> bytes:
    tables = code.load_table(False, GDT, 8 * len(GDT_ENTRIES) - 1) + code.load_table(True, IDT, 0x7FF)
    return code.mov(code.ESP, STACK) + tables + code.far_jump(KERNEL_CS, BASE + 0x100)


def image(pieces: Sequence[Piece], slide: int) -> bytes:
    """The memory of a guest, from BASE, that runs `pieces` and ends."""
    memory = bytearray(PIECES - BASE + PIECE_SIZE * (len(pieces) + 1))

    def put(address: int, data: bytes) -> None:
        memory[address - BASE : address - BASE + len(data)] = data

    put(BASE, _start())
    put(BASE + 0x100, b"\x66\xb8" + code.word(TSS_SELECTOR) + b"\x0f\x00\xd8" + code.jump(DISPATCHER))
    put(DISPATCHER, _dispatcher())
    put(GDT, struct.pack(f"<{len(GDT_ENTRIES)}Q", *GDT_ENTRIES))
    for vector in range(256):
        put(IDT + 8 * vector, struct.pack("<HHHH", DISPATCHER & 0xFFFF, KERNEL_CS, 0xEE00, DISPATCHER >> 16))
    put(TSS + 4, struct.pack("<II", STACK, KERNEL_DS))
    for number, piece in enumerate([*pieces, plain(code.END)]):
        address = PIECES + PIECE_SIZE * number
        data = piece(address, slide)
        put(address, (data + code.jump(DISPATCHER))[:PIECE_SIZE])
        put(TABLE + 4 * number, code.long(address))
    return bytes(memory)


def write_elf(path: Path, memory: bytes, entry: int = BASE) -> Path:
    """An i386 ELF executable that is `memory` at BASE (System V gABI, chapters 4 and 5)."""
    header = struct.pack(
        "<16s2H5I6H", b"\x7fELF\x01\x01\x01", 2, 3, 1, entry, 52, 0, 0, 52, 32, 1, 0, 0, 0)  # fmt: skip
    segment = struct.pack("<8I", 1, 84, BASE, BASE, len(memory), len(memory), 7, 4)
    path.write_bytes(header + segment + memory)
    return path
