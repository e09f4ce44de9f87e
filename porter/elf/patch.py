"""Where a jump can stand in place of a sensitive instruction, and the trampoline that it goes to.

The jump takes more bytes than most sensitive instructions have, so it takes their neighbours' too, which move to the
trampoline with them. Tactics, the first that fits:

``in place``   as many bytes as the instruction has do the same
``jump``       over it and whole instructions behind it, or before it, to which nobody comes otherwise
``island``     two bytes: a short jump to padding nearby that has room for the long one, or to room that is made by
               moving other instructions
``trap``       HLT over its first byte, or as it is where it traps by itself

Code that runs at its load address takes an indirect jump, which is longer, but means the same wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from capstone import CsInsn, x86

from hypercalls import layout
from hypercalls.binary_port import HLT, Patch
from porter.binary.code import CodeMap
from porter.binary.discovery import is_padding
from porter.binary.image import Image
from porter.binary.sensitive import is_far
from porter.elf.encode import IN_PLACE, NO_RETURN, loads_stack_segment, replacement, safe_halt

BASE = layout.HOLE + layout.TRAMPOLINES_OFFSET
_JUMP, _LOW_JUMP, _SHORT_JUMP = 5, 7, 2
_REACH = 127  # bytes of a short jump
_MOST_NEIGHBOURS = 8
_MOST_UNITS = 100_000  # remembered
_STI = 0xFB
# Never moved: they tell the address at which they stand, or have no form with a wide displacement.
_FIXED = frozenset(
    (x86.X86_INS_LCALL, x86.X86_INS_LOOP, x86.X86_INS_LOOPE, x86.X86_INS_LOOPNE, x86.X86_INS_JECXZ,
     x86.X86_INS_JCXZ, x86.X86_INS_INT3, x86.X86_INS_INT1, x86.X86_INS_INTO, x86.X86_INS_INT, x86.X86_INS_UD2,
     x86.X86_INS_XBEGIN, x86.X86_INS_SYSENTER, x86.X86_INS_SYSCALL)
)  # fmt: skip


@dataclass
class Room:
    """What is left of the trampolines' space, and what was put there."""

    code: bytearray = field(default_factory=bytearray)
    places: list[tuple[int, int]] = field(default_factory=list)

    def is_full(self, size: int) -> bool:
        """Whether `size` more bytes are too many."""
        full_places = (len(self.places) + 2 * _MOST_NEIGHBOURS) * 8 > layout.PLACES_SIZE
        return full_places or len(self.code) + size > layout.TRAMPOLINES_SIZE


@dataclass(frozen=True)
class Unit:
    """An instruction of a range that moves: `code` stands for it, and where `relative` is set a displacement to that
    address follows."""

    address: int
    size: int
    code: bytes
    relative: int | None = None
    ends: bool = False  # nothing runs behind it
    withholds: bool = False  # all traps, until the next instruction is over: so that must not be the jump back
    sensitive: bool = False


@dataclass(frozen=True)
class Choice:
    """What is done about a site, for the report: `tactic`, and why no better one."""

    tactic: str
    why: str = ""


def _is_fill(insn: CsInsn) -> bool:
    """Zeros and the rarer NOPs fill up, too; but they are also data."""
    code = bytes(insn.bytes)
    if code.lstrip(b"\x66\x2e").startswith(b"\x0f"):
        return code.lstrip(b"\x66\x2e").startswith(b"\x0f\x1f")
    return any(code) and is_padding(code, insn.insn_name())


def _weight(units: list[Unit]) -> int:
    """How little is gained: each instruction that moves costs, each sensitive one needs no jump of its own."""
    return len(units) - 4 * sum(unit.sensitive for unit in units)


class Patcher:
    """Finds places for jumps in one image. No patch covers one of `barriers` but with its beginning, and what is at one
    of `kept` only moves where it is what the patch is for. `is_sensitive`, `is_silent` (wrong without a trap) and
    `is_proven` tell of a link address."""

    def __init__(self, image: Image, barriers: set[int], kept: set[int], is_sensitive: Callable[[int], bool],
                 is_silent: Callable[[int], bool], is_proven: Callable[[int], bool], low: set[int],
                 mixed: set[int]) -> None:  # fmt: skip
        self._image, self._barriers, self._kept = image, barriers, kept
        self._is_sensitive, self._is_silent, self._is_proven = is_sensitive, is_silent, is_proven
        self._low, self._mixed = low, mixed
        self.room = Room()
        self.patches: list[Patch] = []
        self._covered: set[int] = set()  # bytes of patches
        self._units: dict[int, Unit | None] = {}  # by address: each is asked for many times, by its neighbours

    def is_covered(self, address: int) -> bool:
        """Whether the instruction there has moved with another one's patch."""
        return address in self._covered

    def patch(self, code: CodeMap, offset: int) -> Choice:
        """Do something about the sensitive instruction at `offset`, which is proven."""
        insn = code.instruction(offset)
        assert insn
        if insn.id in IN_PLACE and insn.size == len(IN_PLACE[insn.id]):
            self._put(insn.address, bytes(insn.bytes), IN_PLACE[insn.id])
            return Choice("in place")
        why = self._jump(code, offset, insn)
        if not why:
            return Choice("jump")
        if self._island(code, offset, insn):
            return Choice("island", why)
        return self.trap(insn.address, code.data[offset : offset + 1], why)

    def trap(self, address: int, first: bytes, why: str) -> Choice:
        """Let the instruction at `address`, whose first byte is given, trap; `why` nothing better is done."""
        if self._is_silent(address):
            self._put(address, first, HLT)
        return Choice("trap", why)

    # --- patches ------------------------------------------------------------------------------------------

    def _put(self, address: int, before: bytes, after: bytes) -> None:
        trapping = bytes(HLT[0] if self._is_silent(address + at) else byte for at, byte in enumerate(before))
        self.patches.append(Patch(address, before, after, trapping))
        self._covered.update(range(address, address + len(before)))

    def _jump(self, code: CodeMap, offset: int, insn: CsInsn) -> str:
        """Put a jump over the instruction and its neighbours; '' if that is done, else why it cannot be."""
        if insn.address in self._mixed:
            return "it may run at its load address as well as where it is linked"
        own = self._unit(code, offset)
        if own is None:
            return ("its bytes were taken for other instructions as well" if code.is_ambiguous(offset)
                    else "nothing but the monitor does this form of it")  # fmt: skip
        low = insn.address in self._low
        need = _LOW_JUMP if low else _JUMP
        best = self._best_range(code, offset, own, need)
        if best is None:
            return f"no {need} bytes around it that nobody comes into"
        start, end = best[0].address, best[-1].address + best[-1].size
        room = self._lay(best, low)
        if room is None:
            return "the trampolines' space is full"
        pad = max(need - (end - start), 0)
        size = end - start + pad
        before = code.data[start - code.base : start - code.base + size]
        jump = (b"\x2e\xff\x25" + room.to_bytes(4, "little") if low
                else b"\xe9" + (room - start - _JUMP & 0xFFFF_FFFF).to_bytes(4, "little"))  # fmt: skip
        self._put(start, before, jump + bytes(code.data[start - code.base + need : end - code.base]))
        return ""

    def _best_range(self, code: CodeMap, offset: int, own: Unit, need: int) -> list[Unit] | None:
        """The instructions with the one at `offset` in them that a jump of `need` bytes fits over, and that cost least;
        None where it fits nowhere."""
        best: list[Unit] | None = None
        alone = not self._has_sensitive_neighbour(code, offset, own)
        for before in range(_MOST_NEIGHBOURS):
            if alone and best is not None and before + 1 >= len(best):
                break  # no other range has fewer instructions
            units = self._behind(code, offset, own, before)
            if units is None:
                break
            first = units[0].address
            if first != own.address and not self._is_proven(first):
                break
            at = offset + own.size
            for _ in range(_MOST_NEIGHBOURS):
                length = units[-1].address + units[-1].size - first
                if length >= need or (units[-1].ends and self._is_padded(code, at, need - length)):
                    one_place = not units[-1].withholds and (first in self._low) == (own.address in self._low)
                    if one_place and not self._is_entered(first, max(length, need)):
                        if best is None or _weight(units) < _weight(best):
                            best = units
                        if alone:
                            break
                if units[-1].ends or not self._is_free(code, at):
                    break
                unit = self._unit(code, at)
                if unit is None:
                    break
                units = [*units, unit]
                at += unit.size
        return best

    def _has_sensitive_neighbour(self, code: CodeMap, offset: int, own: Unit) -> bool:
        """Whether any instruction is sensitive that may come into one range with that at `offset`."""
        at = offset + own.size
        for _ in range(_MOST_NEIGHBOURS):
            if not (at < code.size and code.is_reached(at)):
                break
            if self._is_sensitive(code.base + at):
                return True
            at += code.length[at]
        previous: int | None = offset
        for _ in range(_MOST_NEIGHBOURS):
            previous = code.previous(previous) if previous else None
            if previous is None:
                return False
            if self._is_sensitive(code.base + previous):
                return True
        return False

    def _behind(self, code: CodeMap, offset: int, own: Unit, count: int) -> list[Unit] | None:
        """The instruction and `count` in front of it that may move with it; None where there are not so many."""
        units, at = [own], offset
        for _ in range(count):
            if not self._is_free(code, at):
                return None
            previous = code.previous(at)
            unit = self._unit(code, previous) if previous is not None else None
            if unit and unit.address + unit.size != code.base + at:
                return None
            if unit is None or unit.ends or self.is_covered(unit.address) or unit.address in self._kept:
                return None
            units.insert(0, unit)
            at = unit.address - code.base
        return units

    def _is_free(self, code: CodeMap, offset: int) -> bool:
        """Whether an instruction begins there that nobody comes to but from the one in front of it."""
        if not 0 <= offset < code.size:
            return False
        address = code.base + offset
        size = code.length[offset]
        return (code.is_reached(offset) and not self.is_covered(address)
                and not any(at in self._barriers for at in range(address, address + size)))  # fmt: skip

    def _is_entered(self, address: int, size: int) -> bool:
        """Whether somebody may come into the middle of these bytes."""
        return any(at in self._barriers for at in range(address + 1, address + size))

    def _is_padded(self, code: CodeMap, offset: int, size: int) -> bool:
        """Whether `size` bytes behind the end of some code are what compilers fill up with, and nobody runs them."""
        at = offset
        while at < offset + size:
            if at >= code.size or code.evidence[at] or self.is_covered(code.base + at):
                return False
            insn = code.instruction(at)
            if insn is None or not _is_fill(insn):
                return False
            if any(code.base + inside in self._barriers for inside in range(at, at + insn.size)):
                return False
            at += insn.size
        return True

    # --- trampolines --------------------------------------------------------------------------------------

    def _unit(self, code: CodeMap, offset: int) -> Unit | None:
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
            return Unit(insn.address, insn.size, made, None, ends, loads_stack_segment(insn), True) if made else None
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
        if insn.address in self._low:
            behind = self._seen(behind, low=True)
        push = b"\x68" + behind.to_bytes(4, "little")
        if operand.type == x86.X86_OP_IMM:
            return Unit(insn.address, insn.size, push + b"\xe9", operand.imm & 0xFFFF_FFFF, ends=True)
        if operand.type == x86.X86_OP_REG and operand.reg != x86.X86_REG_ESP and insn.opcode[0] == 0xFF:
            return Unit(insn.address, insn.size, push + bytes([0xFF, 0xE0 | insn.modrm & 7]), ends=True)
        return None

    def _safe_halt(self, code: CodeMap, offset: int, sti: CsInsn) -> Unit | None:
        """`sti` and the `hlt` behind it as one; None where somebody comes to the `hlt` alone."""
        halt = sti.address + sti.size
        if halt in self._barriers or not code.is_reached(offset + sti.size):
            return None
        return Unit(sti.address, sti.size + 1, safe_halt(), sensitive=True)

    def _lay(self, units: list[Unit], low: bool) -> int | None:
        """Put the trampoline of `units` into the room; what the jump to it names: its address, or that of a pointer to
        it. None where there is no room."""
        room = self.room
        if room.is_full(sum(len(unit.code) + 4 for unit in units) + 16):
            return None
        named = BASE + len(room.code)
        if low:
            room.code += (named + 4).to_bytes(4, "little")
        for unit in units:
            room.places.append((len(room.code), self._seen(unit.address, low)))
            room.code += unit.code
            if unit.relative is not None:
                self._displacement(self._seen(unit.relative, low))
        if not units[-1].ends or units[-1].sensitive:  # a task that such a jump leaves goes on behind it
            behind = self._seen(units[-1].address + units[-1].size, low)
            room.places.append((len(room.code), behind))
            room.code += b"\xe9"
            self._displacement(behind)
        return named

    def _seen(self, address: int, low: bool) -> int:
        """The address that the code has as it runs."""
        physical = self._image.physical(address) if low else None
        return address if physical is None else physical

    def _displacement(self, target: int) -> None:
        here = BASE + len(self.room.code) + 4
        self.room.code += (target - here & 0xFFFF_FFFF).to_bytes(4, "little")

    # --- islands ------------------------------------------------------------------------------------------

    def _island(self, code: CodeMap, offset: int, insn: CsInsn) -> bool:
        """Two bytes are enough for a short jump to an island nearby, from where the long jump goes."""
        if insn.address in self._low or insn.address in self._mixed:
            return False
        own = self._unit(code, offset)
        units = self._best_range(code, offset, own, _SHORT_JUMP) if own else None
        if units is None:
            return False
        start = units[0].address - code.base
        size = sum(unit.size for unit in units)
        after = start + _SHORT_JUMP
        at = self._padding_near(code, after) or self._made_near(code, after, range(start, start + size))
        if at is None:
            return False
        room = self._lay(units, low=False)
        if room is None:
            return False
        island = code.base + at
        long = b"\xe9" + (room - island - _JUMP & 0xFFFF_FFFF).to_bytes(4, "little")
        short = b"\xeb" + (at - after & 0xFF).to_bytes(1, "little")
        before = bytes(code.data[start : start + max(size, _SHORT_JUMP)])
        self._put(island, bytes(code.data[at : at + _JUMP]), long)
        self._put(units[0].address, before, short + before[_SHORT_JUMP:])
        return True

    def _padding_near(self, code: CodeMap, after: int) -> int | None:
        """Where padding has room for a long jump, in reach of a short one that ends at `after`."""
        for at in range(max(after - _REACH, 0), min(after + _REACH, code.size - _JUMP)):
            if not code.evidence[at] and self._ends_code(code, at) and self._is_padded(code, at, _JUMP):
                return at
        return None

    def _ends_code(self, code: CodeMap, offset: int) -> bool:
        """Whether a proven instruction that nothing falls out of ends there."""
        previous = code.previous(offset)
        unit = self._unit(code, previous) if previous is not None else None
        return unit is not None and unit.ends and self._is_proven(unit.address)

    def _made_near(self, code: CodeMap, after: int, used: range) -> int | None:
        """Room made in reach: other instructions move to a trampoline, and leave more bytes than the jump takes."""
        for at in range(max(after - _REACH + _JUMP, 0), min(after + _REACH - _JUMP, code.size)):
            if at in used or not code.is_reached(at) or self.is_covered(code.base + at):
                continue
            units = self._victims(code, at, used)
            room = self._lay(units, low=False) if units else None
            if units and room is not None:
                size, address = sum(unit.size for unit in units), units[0].address
                jump = b"\xe9" + (room - address - _JUMP & 0xFFFF_FFFF).to_bytes(4, "little")
                self._put(address, bytes(code.data[at : at + _JUMP]), jump)
                self._covered.update(range(address, address + size))
                return at + _JUMP
        return None

    def _victims(self, code: CodeMap, at: int, used: range) -> list[Unit] | None:
        """Instructions from `at` on that take twice a long jump, have nothing to do with privilege and may move."""
        first, units, offset = code.base + at, list[Unit](), at
        if not self._is_proven(first) or first in self._low or first in self._mixed or first in self._kept:
            return None
        while offset - at < 2 * _JUMP:
            if offset in used or (units and (units[-1].ends or not self._is_free(code, offset))):
                return None
            unit = self._unit(code, offset)
            if unit is None or unit.sensitive or self.is_covered(code.base + offset):
                return None
            units.append(unit)
            offset += unit.size
        return None if self._is_entered(first, offset - at) else units
