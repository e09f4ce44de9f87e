"""The code that jumps in a kernel lead to: what stands for the instructions that have moved there.

Where it is laid the kernel's addresses are noted, so that nobody needs to know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from capstone import CsInsn, x86

from hypercalls.binary_port import HLT
from porter.binary.code import CodeMap
from porter.binary.image import Image
from porter.binary.sensitive import is_far
from porter.elf.encode import NO_RETURN, loads_stack_segment, replacement, safe_halt
from porter.elf.room import Room

MOST_MOVED = 16  # instructions of one trampoline
_MOST_UNITS = 100_000  # remembered
_STI = 0xFB
# Never moved: they tell the address at which they stand, or have no form with a wide displacement.
_FIXED = frozenset(
    (x86.X86_INS_LCALL, x86.X86_INS_LOOP, x86.X86_INS_LOOPE, x86.X86_INS_LOOPNE, x86.X86_INS_JECXZ,
     x86.X86_INS_JCXZ, x86.X86_INS_INT3, x86.X86_INS_INT1, x86.X86_INS_INTO, x86.X86_INS_INT, x86.X86_INS_UD2,
     x86.X86_INS_XBEGIN, x86.X86_INS_SYSENTER, x86.X86_INS_SYSCALL)
)  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """An instruction of a range that moves: `code` stands for it, and where `relative` is set a displacement to that
    address follows. Where `pushed` is set, that address is pushed first."""

    address: int
    size: int
    code: bytes
    relative: int | None = None
    pushed: int | None = None
    ends: bool = False  # nothing runs behind it
    withholds: bool = False  # all traps, until the next instruction is over: so that must not be the jump back
    sensitive: bool = False


class Where(Enum):
    """Where some code runs: at its link address, at its load address, or at either, before paging and with it."""

    LINKED = "linked"
    LOADED = "loaded"
    EITHER = "either"


class Trampolines:
    """Those of one image: their `code`, `places`, the offsets in it of what stands for the kernel's addresses, and
    `cells`, the offsets of pointers that lead to either of two (hypercalls/binary_port.py).

    `barriers`: link addresses to which somebody may come. `is_sensitive` tells of one.
    """

    def __init__(self, image: Image, room: Room, barriers: set[int],
                 is_sensitive: Callable[[int], bool]) -> None:  # fmt: skip
        self._image, self._room = image, room
        self._barriers, self._is_sensitive = barriers, is_sensitive
        self.cells: list[int] = []
        self.code = bytearray()
        self.places: list[tuple[int, int]] = []
        self._units: dict[int, Unit | None] = {}  # by address: each is asked for many times, by its neighbours
        self.was_full = False  # something had no room
        self._moved: dict[int, int] = {}  # where an address is laid that has no other place any more
        self._displacements: list[tuple[int, int]] = []  # offset of each, and the address that it leads to

    def has_room(self, *trampolines: list[Unit]) -> bool:
        """Whether there is room for all of these."""
        size = sum(len(unit.code) + 9 for units in trampolines for unit in units) + 20 * len(trampolines)
        places = MOST_MOVED * len(trampolines)
        fits = len(self.places) + places <= self._room.places and len(self.code) + size <= self._room.size
        self.was_full = self.was_full or not fits
        return fits

    def unit(self, code: CodeMap, offset: int) -> Unit | None:
        """What the instruction at `offset` becomes in a trampoline; None where it cannot move."""
        address = code.base + offset
        if address not in self._units:
            if len(self._units) > _MOST_UNITS:
                self._units.clear()
            self._units[address] = self._make_unit(code, offset)
        return self._units[address]

    def _make_unit(self, code: CodeMap, offset: int) -> Unit | None:
        insn = code.instruction(offset)
        if insn is None or code.is_ambiguous(offset):
            return None
        if self._is_sensitive(insn.address):
            if insn.id == x86.X86_INS_STI and code.data[offset + insn.size : offset + insn.size + 1] == HLT:
                return self._safe_halt(code, offset, insn)
            if insn.id == x86.X86_INS_HLT and offset and code.data[offset - 1] == _STI and code.is_reached(offset - 1):
                return None  # without its `sti` it would miss the interrupt that it waits for
            made = replacement(insn)
            ends = insn.id in NO_RETURN or (is_far(insn) and insn.modrm >> 3 & 7 == 5)
            if made is None:
                return None
            return Unit(insn.address, insn.size, made, None, None, ends, loads_stack_segment(insn), True)
        if x86.X86_GRP_CALL in insn.groups:
            return self._call(insn)
        if insn.id in _FIXED or 0xD8 <= insn.opcode[0] <= 0xDF:
            return None
        if x86.X86_GRP_JUMP in insn.groups and insn.operands[0].type == x86.X86_OP_IMM:
            if insn.prefix[2]:
                return None
            target, opcode = insn.operands[0].imm & 0xFFFF_FFFF, insn.opcode
            if insn.id == x86.X86_INS_JMP:
                return Unit(insn.address, insn.size, b"\xe9", target, ends=True)
            condition = (opcode[1] if opcode[0] == 0x0F else opcode[0]) & 0xF
            return Unit(insn.address, insn.size, bytes([0x0F, 0x80 | condition]), target)
        ends = x86.X86_GRP_JUMP in insn.groups or x86.X86_GRP_RET in insn.groups
        return Unit(insn.address, insn.size, bytes(insn.bytes), ends=ends)

    def _call(self, insn: CsInsn) -> Unit | None:
        """A call: the address behind it is pushed as it was, and the function comes back there, not here."""
        operand, behind = insn.operands[0], insn.address + insn.size
        if insn.id != x86.X86_INS_CALL or insn.prefix[2]:
            return None
        if operand.type == x86.X86_OP_IMM:
            return Unit(insn.address, insn.size, b"\xe9", operand.imm & 0xFFFF_FFFF, behind, ends=True)
        if operand.type == x86.X86_OP_REG and operand.reg != x86.X86_REG_ESP and insn.opcode[0] == 0xFF:
            return Unit(insn.address, insn.size, bytes([0xFF, 0xE0 | insn.modrm & 7]), None, behind, ends=True)
        return None

    def _safe_halt(self, code: CodeMap, offset: int, sti: CsInsn) -> Unit | None:
        """`sti` and the `hlt` behind it as one; None where somebody comes to the `hlt` alone."""
        halt = sti.address + sti.size
        if halt in self._barriers or not code.is_reached(offset + sti.size):
            return None
        return Unit(sti.address, sti.size + 1, safe_halt(), sensitive=True)

    def lay(self, units: list[Unit], where: Where) -> int | None:
        """Put the trampoline of `units` into the room; what the jump to it names: its address, or that of a pointer to
        it. None where there is no room."""
        if not self.has_room(*([units] * (2 if where is Where.EITHER else 1))):
            return None
        named = self._room.base + len(self.code)
        if where is Where.LINKED:
            self._lay(units, low=False)
            return named
        self.code += (named + 4).to_bytes(4, "little")
        if where is Where.EITHER:
            self.cells.append(named - self._room.base)
            self.code += bytes(8)
        low = self._lay(units, low=True)
        if where is Where.EITHER:
            both = low.to_bytes(4, "little") + self._lay(units, low=False).to_bytes(4, "little")
            at = named - self._room.base
            self.code[at : at + 12] = both[:4] + both
        return named

    def _lay(self, units: list[Unit], low: bool) -> int:
        """Put one trampoline down; its address."""
        begin = self._room.base + len(self.code)
        for unit in units:
            self.places.append((len(self.code), self._seen(unit.address, low)))
            if unit.pushed is not None:
                self.code += b"\x68" + self._seen(unit.pushed, low).to_bytes(4, "little")
            self.code += unit.code
            if unit.relative is not None:
                self._displacement(self._seen(unit.relative, low))
        if not units[-1].ends or units[-1].sensitive:  # a task that such a jump leaves goes on behind it
            behind = self._seen(units[-1].address + units[-1].size, low)
            self.places.append((len(self.code), behind))
            self.code += b"\xe9"
            self._displacement(behind)
        return begin

    def move(self, address: int) -> int:
        """Whoever branches to `address`, which has been laid, comes to its trampoline from now on; returns where that
        is. What was laid before is corrected, too."""
        offset = next(offset for offset, one in reversed(self.places) if one == address)
        self._moved[address] = offset
        for at, target in self._displacements:
            if target == address:
                self.code[at : at + 4] = self._distance(at, address)
        return self._room.base + offset

    def _seen(self, address: int, low: bool) -> int:
        """The address that the code has as it runs."""
        physical = self._image.physical(address) if low else None
        return address if physical is None else physical

    def _displacement(self, target: int) -> None:
        self._displacements.append((len(self.code), target))
        self.code += self._distance(len(self.code), target)

    def _distance(self, at: int, target: int) -> bytes:
        """The displacement at offset `at` that leads to an address of the kernel, or to where that has moved."""
        to = self._room.base + self._moved[target] if target in self._moved else target
        return (to - (self._room.base + at + 4) & 0xFFFF_FFFF).to_bytes(4, "little")
