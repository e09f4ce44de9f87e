"""Where a jump can stand in place of a sensitive instruction (``trampolines``: what it leads to).

The jump takes more bytes than most sensitive instructions have, so it takes their neighbours' too, which move to the
trampoline with them. Tactics, the first that fits:

``in place``   as many bytes as the instruction has do the same
``jump``       over it and whole instructions behind it, or before it, to which nobody comes otherwise
``island``     two bytes: a short jump to padding nearby that has room for the long one, or to room that is made by
               moving other instructions
``redirect``   as ``jump``, over instructions to which others branch: those branches lead to the trampoline then, where
               they stand, if they are long, or from trampolines of their own
``trap``       HLT over its first byte, or as it is where it traps by itself

Code that runs at its load address, too or only, takes an indirect jump, which is longer, but means the same wherever it
stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from capstone import CsInsn

from hypercalls.binary_port import HLT, Patch
from porter.binary.code import CodeMap
from porter.binary.discovery import is_padding
from porter.binary.flow import SOURCES_KEPT, Flow
from porter.binary.image import Image
from porter.elf.barriers import Barriers
from porter.elf.encode import IN_PLACE
from porter.elf.room import Room
from porter.elf.trampolines import MOST_MOVED, Trampolines, Unit, Where

_JUMP, _INDIRECT_JUMP, _SHORT_JUMP = 5, 7, 2
_SIZES = {Where.LINKED: _JUMP, Where.LOADED: _INDIRECT_JUMP, Where.EITHER: _INDIRECT_JUMP}  # bytes of a jump
_NOP = b"\x90"
_REACH = 127  # bytes of a short jump
_MOST_NEIGHBOURS = MOST_MOVED // 2


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


def _jump(address: int, room: int, where: Where) -> bytes:
    """The jump at `address`, where code runs that is `where`, to what `Trampolines.lay` named."""
    if where is Where.LINKED:
        return b"\xe9" + (room - address - _JUMP & 0xFFFF_FFFF).to_bytes(4, "little")
    return b"\x2e\xff\x25" + room.to_bytes(4, "little")


def _nobody(_address: int) -> bool:
    return False


def _weight(units: list[Unit]) -> int:
    """How little is gained: each instruction that moves costs, each sensitive one needs no jump of its own."""
    return len(units) - 4 * sum(unit.sensitive for unit in units)


class Patcher:
    """Finds places for jumps in one image. No patch covers one of `barriers` but with its beginning, or where nothing
    but branches that can be redirected lead there; what is at one of `barriers.kept` only moves where it is what the
    patch is for. `is_sensitive`, `is_silent` (wrong without a trap) and `is_proven` tell of a link address. The
    trampolines go into `room`."""

    def __init__(self, image: Image, flow: Flow, room: Room, barriers: Barriers, is_sensitive: Callable[[int], bool],
                 is_silent: Callable[[int], bool], is_proven: Callable[[int], bool], low: set[int],
                 mixed: set[int]) -> None:  # fmt: skip
        self._flow, self._can_halt = flow, room.segment is None
        self._barriers, self._named, self._kept = barriers.all, barriers.named, barriers.kept
        self._is_sensitive, self._is_silent, self._is_proven = is_sensitive, is_silent, is_proven
        self._low, self._mixed = low, mixed  # addresses of code that runs at its load address only, or also
        self.trampolines = Trampolines(image, room, barriers.all, is_sensitive)
        self.patches: list[Patch] = []
        self._covered: set[int] = set()  # bytes of patches

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
        if self._redirect(code, offset, insn):
            return Choice("redirect", why)
        return self.trap(code, offset, why)

    def trap(self, code: CodeMap, offset: int, why: str) -> Choice:
        """Let the sensitive instruction at `offset` trap; `why` nothing better is done. Tactic ``none`` where it would
        not, and cannot be made to: the monitor knows what it has put HLT over in kernels, not in their programs."""
        if self._is_silent(code.base + offset):
            if not self._can_halt:
                return Choice("none", f"{why}; it runs silently wrong")
            self._put(code.base + offset, code.data[offset : offset + 1], HLT)
        return Choice("trap", why)

    # --- patches ------------------------------------------------------------------------------------------

    def _put(self, address: int, before: bytes, after: bytes) -> None:
        trapping = bytes(HLT[0] if self._is_silent(address + at) else byte for at, byte in enumerate(before))
        self.patches.append(Patch(address, before, after, trapping))
        self._covered.update(range(address, address + len(before)))

    def _jump(self, code: CodeMap, offset: int, insn: CsInsn) -> str:
        """Put a jump over the instruction and its neighbours; '' if that is done, else why it cannot be."""
        own = self.trampolines.unit(code, offset)
        if own is None:
            return ("its bytes were taken for other instructions as well" if code.is_ambiguous(offset)
                    else "nothing but the monitor does this form of it")  # fmt: skip
        where = self._where(insn.address)
        need = _SIZES[where]
        best = self._best_range(code, offset, own, need)
        if best is None:
            return f"no {need} bytes around it that nobody comes into"
        room = self.trampolines.lay(best, where)
        if room is None:
            return "the room for trampolines is full"
        self._put_jump(best, room, where)
        return ""

    def _where(self, address: int) -> Where:
        if address in self._mixed:
            return Where.EITHER
        return Where.LOADED if address in self._low else Where.LINKED

    def _put_jump(self, units: list[Unit], room: int, where: Where) -> None:
        """Put a jump to `room` over the instructions that have moved."""
        code, need = self._flow.map_at(units[0].address), _SIZES[where]
        assert code, "they are code"
        start, end = units[0].address, units[-1].address + units[-1].size
        size = max(need, end - start)
        before = code.data[start - code.base : start - code.base + size]
        # What is behind the jump stays, for who comes there by a way that nobody knows; but of a program, no note tells
        # `ring3 check` that it is no code any more.
        rest = bytes(code.data[start - code.base + need : end - code.base])
        self._put(start, before, _jump(start, room, where) + (rest if self._can_halt else _NOP * len(rest)))

    def _best_range(self, code: CodeMap, offset: int, own: Unit, need: int) -> list[Unit] | None:
        """The instructions with the one at `offset` in them that a jump of `need` bytes fits over, and that cost least;
        None where it fits nowhere."""
        alone = not self._has_sensitive_neighbour(code, offset, own)
        return min(self._ranges(code, offset, own, need, _nobody, alone), key=_weight, default=None)

    def _ranges(self, code: CodeMap, offset: int, own: Unit, need: int, may_pass: Callable[[int], bool],
                shortest: bool) -> Iterator[list[Unit]]:  # fmt: skip
        """Instructions in a row with the one at `offset` in them that a jump of `need` bytes fits over. `may_pass`
        tells of barriers that count for nothing; with `shortest`, none that has more instructions than another."""
        fewest = _MOST_NEIGHBOURS + 1
        for before in range(_MOST_NEIGHBOURS):
            if shortest and before + 1 >= fewest:
                break
            units = self._behind(code, offset, own, before, may_pass)
            if units is None:
                break
            first = units[0].address
            if first != own.address and not self._is_proven(first):
                break
            at = offset + own.size
            for _ in range(_MOST_NEIGHBOURS):
                length = units[-1].address + units[-1].size - first
                if length >= need or (units[-1].ends and self._is_padded(code, at, need - length)):
                    one_place = not units[-1].withholds and self._where(first) is self._where(own.address)
                    if one_place and not self._is_entered(first, max(length, need), may_pass):
                        fewest = min(fewest, len(units))
                        yield units
                        if shortest:
                            break
                if units[-1].ends or not self._is_free(code, at, may_pass):
                    break
                unit = self.trampolines.unit(code, at)
                if unit is None:
                    break
                units = [*units, unit]
                at += unit.size

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

    def _behind(self, code: CodeMap, offset: int, own: Unit, count: int,
                may_pass: Callable[[int], bool]) -> list[Unit] | None:  # fmt: skip
        """The instruction and `count` in front of it that may move with it; None where there are not so many."""
        units, at = [own], offset
        for _ in range(count):
            if not self._is_free(code, at, may_pass):
                return None
            previous = code.previous(at)
            unit = self.trampolines.unit(code, previous) if previous is not None else None
            if unit and unit.address + unit.size != code.base + at:
                return None
            if unit is None or unit.ends or self.is_covered(unit.address) or unit.address in self._kept:
                return None
            units.insert(0, unit)
            at = unit.address - code.base
        return units

    def _is_free(self, code: CodeMap, offset: int, may_pass: Callable[[int], bool]) -> bool:
        """Whether an instruction begins there that nobody comes to but from the one in front of it."""
        if not 0 <= offset < code.size:
            return False
        address = code.base + offset
        size = code.length[offset]
        free = code.is_reached(offset) and not self.is_covered(address)
        return free and not any(at in self._barriers and not may_pass(at) for at in range(address, address + size))

    def _is_entered(self, address: int, size: int, may_pass: Callable[[int], bool]) -> bool:
        """Whether somebody may come into the middle of these bytes."""
        return any(at in self._barriers and not may_pass(at) for at in range(address + 1, address + size))

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

    # --- redirected branches ------------------------------------------------------------------------------

    def _redirect(self, code: CodeMap, offset: int, insn: CsInsn) -> bool:
        """A jump over the instruction and neighbours to which branches lead, all of which can be led elsewhere."""
        if self._where(insn.address) is not Where.LINKED:
            return False
        own = self.trampolines.unit(code, offset)
        if own is None:
            return False
        ranges = self._ranges(code, offset, own, _JUMP, self._is_only_branched_to, shortest=False)
        return any(map(self._redirect_around, sorted(ranges, key=_weight)))

    def _redirect_around(self, units: list[Unit]) -> bool:
        """Put a jump over `units`, if all branches into them can be led elsewhere."""
        start, end = units[0].address, units[-1].address + units[-1].size
        entered = [at for at in range(start + 1, end) if at in self._barriers]
        if not {unit.address for unit in units}.issuperset(entered):
            return False  # somebody comes into the middle of an instruction
        taken, long, moved = set(range(start, max(end, start + _JUMP))), dict[int, Unit](), list[list[Unit]]()
        for source in {source for at in entered for source in self._flow.sources[at]}:
            if source in taken or self.is_covered(source):
                continue  # it is or will be in a trampoline
            unit = self._unit_at(source)
            if unit is None:
                return False
            if unit.size > _JUMP or (unit.size == _JUMP and unit.code[-1:] == b"\xe9"):
                mine = range(source, source + unit.size)
                long[source] = unit
            else:
                others = self._jump_over_branch(source, unit)
                if others is None:
                    return False
                mine = range(others[0].address, max(others[-1].address + others[-1].size, others[0].address + _JUMP))
                moved.append(others)
            if not taken.isdisjoint(mine):
                return False
            taken.update(mine)
        if not self.trampolines.has_room(units, *moved):
            return False
        for each in (units, *moved):
            room = self.trampolines.lay(each, Where.LINKED)
            assert room is not None, "there was room for all"
            self._put_jump(each, room, Where.LINKED)
        places = {at: self.trampolines.move(at) for at in entered}
        for source, unit in long.items():
            assert unit.relative is not None
            self._lead(source, unit.size, places[unit.relative])
        return True

    def _is_only_branched_to(self, address: int) -> bool:
        """Whether nothing but direct branches, which may be changed, leads to a barrier."""
        sources = self._flow.sources.get(address, ())
        if address in self._named or len(sources) >= SOURCES_KEPT:  # there may be more
            return False
        return all(self._is_branch_to(source, address) for source in sources)

    def _is_branch_to(self, source: int, address: int) -> bool:
        if source in self._kept or self._where(source) is not Where.LINKED or not self._is_proven(source):
            return False
        unit = self._unit_at(source)
        return unit is not None and unit.relative == address

    def _unit_at(self, address: int) -> Unit | None:
        code = self._flow.map_at(address)
        return self.trampolines.unit(code, address - code.base) if code else None

    def _jump_over_branch(self, source: int, unit: Unit) -> list[Unit] | None:
        """The instructions that move with a short branch; None where there is no room for a jump."""
        code = self._flow.map_at(source)
        return self._best_range(code, source - code.base, unit, _JUMP) if code else None

    def _lead(self, branch: int, size: int, target: int) -> None:
        """Change the displacement of a long branch in place."""
        code = self._flow.map_at(branch)
        assert code, "it is one of the flow's"
        before = bytes(code.data[branch - code.base : branch - code.base + size])
        self._put(branch, before, before[:-4] + (target - branch - size & 0xFFFF_FFFF).to_bytes(4, "little"))

    # --- islands ------------------------------------------------------------------------------------------

    def _island(self, code: CodeMap, offset: int, insn: CsInsn) -> bool:
        """Two bytes are enough for a short jump to an island nearby, from where the long jump goes."""
        own, where = self.trampolines.unit(code, offset), self._where(insn.address)
        units = self._best_range(code, offset, own, _SHORT_JUMP) if own else None
        if units is None:
            return False
        start = units[0].address - code.base
        size = sum(unit.size for unit in units)
        after = start + _SHORT_JUMP
        at = (self._padding_near(code, after, _SIZES[where])
              or self._made_near(code, after, range(start, start + size), where))  # fmt: skip
        if at is None:
            return False
        room = self.trampolines.lay(units, where)
        if room is None:
            return False
        island = code.base + at
        long = _jump(island, room, where)
        short = b"\xeb" + (at - after & 0xFF).to_bytes(1, "little")
        before = bytes(code.data[start : start + max(size, _SHORT_JUMP)])
        self._put(island, bytes(code.data[at : at + len(long)]), long)
        self._put(units[0].address, before, short + before[_SHORT_JUMP:])
        return True

    def _padding_near(self, code: CodeMap, after: int, size: int) -> int | None:
        """Where padding has room for a long jump of `size` bytes, in reach of a short one that ends at `after`."""
        for at in range(max(after - _REACH, 0), min(after + _REACH, code.size - size)):
            if not code.evidence[at] and self._ends_code(code, at) and self._is_padded(code, at, size):
                return at
        return None

    def _ends_code(self, code: CodeMap, offset: int) -> bool:
        """Whether a proven instruction that nothing falls out of ends there."""
        previous = code.previous(offset)
        unit = self.trampolines.unit(code, previous) if previous is not None else None
        return unit is not None and unit.ends and self._is_proven(unit.address)

    def _made_near(self, code: CodeMap, after: int, used: range, where: Where) -> int | None:
        """Room made in reach: other instructions move to a trampoline, and leave more bytes than the jump takes."""
        need = _SIZES[where]
        for at in range(max(after - _REACH + need, 0), min(after + _REACH - need, code.size)):
            if at in used or not code.is_reached(at) or self.is_covered(code.base + at):
                continue
            units = self._victims(code, at, used, where)
            room = self.trampolines.lay(units, where) if units else None
            if units and room is not None:
                size, address = sum(unit.size for unit in units), units[0].address
                self._put(address, bytes(code.data[at : at + need]), _jump(address, room, where))
                self._covered.update(range(address, address + size))
                return at + need
        return None

    def _victims(self, code: CodeMap, at: int, used: range, where: Where) -> list[Unit] | None:
        """Instructions from `at` on that take twice a long jump, have nothing to do with privilege and may move."""
        first, units, offset = code.base + at, list[Unit](), at
        if not self._is_proven(first) or first in self._kept:
            return None
        while offset - at < 2 * _SIZES[where]:
            if self._where(code.base + offset) is not where:
                return None
            if offset in used or (units and (units[-1].ends or not self._is_free(code, offset, _nobody))):
                return None
            unit = self.trampolines.unit(code, offset)
            if unit is None or unit.sensitive or self.is_covered(code.base + offset):
                return None
            units.append(unit)
            offset += unit.size
        return None if self._is_entered(first, offset - at, _nobody) else units
