"""Which of the instructions that were found are code beyond doubt.

Finding code guesses where it must (``porter.binary.discovery``): behind calls that may not return, at labels, at places
that only a pointer names. A report can live with a wrong guess; a port cannot, for it would change data. So an
instruction counts as proven only if a way leads to it from where the program is entered, from a function's symbol, or
from an instruction that has run, in steps that a processor would take:

* to the next instruction; behind a direct call only where the function that is called comes back;
* along direct branches and calls, switch tables, and registers that were just loaded with a constant.

Code that only a pointer or a label names is proven by what it does, all of it that can be reached from there:

* it calls or jumps, by a displacement of 32 bits, to the beginning of a proven instruction, which data hits by chance
  in one of many millions of cases;
* proven code has its address, and it has that of a variable;
* proven code stores its address in memory, as it does those of functions and tasks;
* its address stands in memory beside that of proven code, as in tables of functions, it begins as functions do that
  make a frame, ends where that is undone, and is all that there is up to what something else names.

The last two are the weakest; `guesses` has what rests on them.

It must begin where a pointer or a label leads, or unproven code, in step with the code in front, and what is seen ends
where another one does: where code runs into what begins there, or into what others come to as well, that says nothing,
for data in front of a function does so, too.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from porter.binary.code import CodeMap
from porter.binary.discovery import is_padding
from porter.binary.flow import Flow
from porter.binary.image import SymbolKind
from porter.binary.opcodes import RELATIVE8, RELATIVE32, Action, action_of
from porter.elf.frames import is_behind_frame, makes_frame
from porter.elf.leaps import Leaps, unread_branches
from porter.elf.steps import Steps, is_indirect_jump, target_of

_DEEPEST_QUESTION, _MOST_QUESTIONS = 12, 400  # whether code vouches for code, for one instruction
_MOST_FILLED = 32  # bytes between functions
_MOST_BEHIND_CALL = 3  # instructions that fill up to where the next code begins
_MOST_BETWEEN = 64  # bytes of what is not known to be code
_STORE = 0xC7  # mov $imm32, memory


@dataclass
class _Operands:
    """Of some code: the targets of its displacements of 32 bits, whether it names a variable, and whether it runs into
    something else; `seen` are its instructions, `shared` those that others than itself come to, `returns` its returns.
    """

    targets: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    shared: set[int] = field(default_factory=set)
    returns: set[int] = field(default_factory=set)
    variables: bool = False
    runs_on: bool = False


class Proof:
    """Answers for one image whose code was found by `flow`; `entries` are addresses that symbols and pointers name,
    `words` those pointers that stand in data (``barriers``); `ran` are addresses of instructions that have run."""

    def __init__(self, flow: Flow, entries: set[int], words: dict[int, int], ran: Collection[int] = ()) -> None:
        self._flow, self._entries, self._steps = flow, entries, Steps(flow)
        self._sorted_entries = sorted(entries)
        self._words, self._words_of = words, dict[int, list[int]]()
        for at, named in words.items():
            self._words_of.setdefault(named, []).append(at)
        self._cases: dict[int, list[int]] = {}
        for target, sources in flow.sources.items():
            for source in sources:
                self._cases.setdefault(source, []).append(target)
        self._roots = {symbol.address for symbol in flow.image.symbols if symbol.kind is SymbolKind.FUNCTION}
        self._roots.update(ran)
        if flow.image.entry is not None:
            self._roots.add(flow.image.entry)
        self._memory = [(segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"])
                        for segment in flow.image.elf.iter_segments("PT_LOAD")]  # fmt: skip
        self.guesses: set[int] = set()
        self._followed: set[int] = set()  # those of which it is known what they lead to
        self._behind_guesses: set[int] = set()
        self._rooted = {code.base: bytearray(code.size) for code in flow.maps}  # 1 where an instruction is
        self._leaps: dict[int, Leaps] = {}
        self._unread = unread_branches(flow, entries)
        self._proven: dict[int, bool] = {}
        self._corroborated: dict[int, bool] = {}
        self._questions = 0  # that may still be asked
        self._asking = 0  # how many questions the present one has come from
        self._follow_roots()

    def is_proven(self, address: int) -> bool:
        """Whether the reached instruction at a link address is code beyond doubt."""
        known = self._proven.get(address)
        if known is None:
            if not self._asking:
                self._questions = _MOST_QUESTIONS
            known = self._is_rooted(address) or any(map(self._is_corroborated, self._heads(address)))
            if known or not self._asking:
                self._proven[address] = known
        return known

    def rests_on_guess(self, address: int) -> bool:
        """Whether nothing but a guess leads to the instruction."""
        if len(self._followed) < len(self.guesses):
            self._behind_guesses |= self.reachable(self.guesses - self._followed)
            self._followed = set(self.guesses)
        return not self._is_rooted(address) and address in self._behind_guesses

    def reachable(self, starts: Iterable[int]) -> set[int]:
        """Instructions to which relative flow leads from `starts`, calls included, jumps by address not."""
        pending, seen = list(starts), set[int]()
        while pending:
            address = pending.pop()
            code = self._steps.reached(address)
            if address in seen or code is None:
                continue
            seen.add(address)
            offset = address - code.base
            action, _ = action_of(code.data, offset, code.length[offset])
            target = target_of(code, offset, action)
            if target is not None:
                pending.append(target)
            if self._steps.falls_through(code, offset):
                pending.append(address + code.length[offset])
        return seen

    # --- ways that lead to an instruction -----------------------------------------------------------------

    def before(self, address: int) -> Iterator[int]:
        """Addresses of instructions from which a processor comes to this one."""
        yield from self._fallen_from(address)
        yield from self._flow.sources.get(address, ())

    def _fallen_from(self, address: int) -> Iterator[int]:
        """Of the instructions that end there those that go on; several, where bytes were read in several ways."""
        code = self._flow.map_at(address)
        if code is None:
            return
        for start in code.ending_at(address - code.base):
            if self._steps.falls_through(code, start):
                yield code.base + start

    def _is_rooted(self, address: int) -> bool:
        """Whether a way leads from a root to `address`."""
        code = self._flow.map_at(address)
        return code is not None and self._rooted[code.base][address - code.base] != 0

    def _follow_roots(self) -> None:
        """Mark all instructions to which ways lead from roots."""
        pending = list(self._roots)
        while pending:
            address = pending.pop()
            code = self._flow.map_at(address)
            if code is not None:
                self._follow_root(code, address - code.base, pending)

    def _follow_root(self, code: CodeMap, offset: int, pending: list[int]) -> None:
        base, data, length, rooted = code.base, code.data, code.length, self._rooted[code.base]
        while not rooted[offset] and code.is_reached(offset):
            rooted[offset] = 1
            action, _ = action_of(data, offset, length[offset])
            pending += self._cases.get(base + offset, ())
            if action is not Action.PLAIN:
                target = target_of(code, offset, action)
                if target is not None:
                    pending.append(target)
                if not self._steps.falls_through(code, offset):
                    return
            offset += length[offset]
            if offset >= code.size:
                pending.append(base + offset)
                return

    def _heads(self, wanted: int) -> Iterator[int]:
        """Where ways to `wanted` begin, of which none begins at a root; the nearest first."""
        seen, pending = {wanted}, deque([wanted])
        while pending:
            address = pending.popleft()
            named = address in self._entries or address in self._flow.sources
            if named or not any(self._fallen_from(address)):
                yield address
            for one in self.before(address):
                if one not in seen and self._proven.get(one) is not False:
                    seen.add(one)
                    pending.append(one)
        if not self._asking:
            self._proven.update(dict.fromkeys(seen, False))

    # --- what unproven code does --------------------------------------------------------------------------

    def _is_corroborated(self, start: int) -> bool:
        known = self._corroborated.get(start)
        if known is None:
            self._questions -= 1
            if self._questions < 0 or self._asking > _DEEPEST_QUESTION:
                return False
            self._corroborated[start] = False  # while it is looked at: it does not vouch for itself
            self._asking += 1
            known = self._corroborated[start] = self._vouches(start)
            self._asking -= 1
            if not known and self._asking:
                del self._corroborated[start]  # it may be for want of those that are being looked at
        return known

    def _vouches(self, start: int) -> bool:
        end = self._end(start)
        from_elsewhere = any(not start <= source < end for source in self._flow.sources.get(start, ()))
        if start not in self._entries and not (from_elsewhere and self._is_aligned(start)):
            return False
        found = self._operands(start)
        if not all(map(self._flow.map_at, found.targets)):
            return False  # it branches to where there is no code
        # Where it runs into something, only what it does before it has branched for the first time is its own.
        targets = self._straight_targets(start, end, found.shared) if found.runs_on else found.targets
        if any(self._is_rooted(target) for target in targets if self._steps.reached(target)):
            return True
        if any(self.is_proven(target) for target in sorted(targets) if self._steps.reached(target)):
            return True
        users = [(code, offset) for code, offset in self._flow.references.get(start, ())
                 if self.is_proven(code.base + offset)]  # fmt: skip
        if found.runs_on:
            return False
        if users and found.variables:
            return True
        is_stored = any(code.data[offset] == _STORE for code, offset in users)
        if is_stored or (self._is_whole_function(start, found) and self._stands_beside_proven(start)):
            self.guesses.add(start)
            return True
        return False

    def _is_whole_function(self, start: int, found: _Operands) -> bool:
        """Whether the code from `start` on makes a frame, undoes it before each of its returns, and takes all bytes up
        to what something else names, but for those that compilers fill up with."""
        code = self._flow.map_at(start)
        if code is None or not found.returns or not makes_frame(code, start - code.base):
            return False
        if not all(is_behind_frame(code, address - code.base) for address in found.returns):
            return False
        last, at = max(found.seen), start
        while at < code.base + code.size:
            if at in found.seen:
                at += code.length[at - code.base]
            elif at > last and (at in self._entries or at in self._flow.sources):
                return True
            else:
                insn = code.instruction(at - code.base)
                if insn is None or not is_padding(bytes(insn.bytes), insn.insn_name()):
                    return False
                at += insn.size
        return True

    def _stands_beside_proven(self, start: int) -> bool:
        """Whether a pointer to `start` stands beside one to something else that is proven."""
        beside = {self._words.get(at + by, start) for at in self._words_of.get(start, ()) for by in (-4, 4)} - {start}
        return any(map(self.is_proven, sorted(beside)))

    def _is_aligned(self, start: int) -> bool:
        """Whether reading on from where known code ends comes to `start`, and not into an instruction around it.

        What only unproven code leads to may be the end of an instruction, and run into the next one by chance.
        """
        code = self._flow.map_at(start)
        if code is None:
            return False
        end = at = start - code.base
        while at and end - at < _MOST_BETWEEN and code.covering(at - 1) is None:
            at -= 1
        while at < end:
            size = code.decode(at)
            if not size:
                return False
            at += size
        return at == end

    def _operands(self, start: int) -> _Operands:
        """What is to be seen from `start` to where something else is known to begin."""
        pending, found = [start], _Operands()
        seen = found.seen
        end = self._end(start)
        while pending:
            address = pending.pop()
            code = self._steps.reached(address)
            if address in seen or code is None:
                continue
            offset = address - code.base
            if not start <= address < end or self._is_ambiguous(code, offset) or (
                    address != start and self._is_rooted(address)):
                found.runs_on = True
                continue
            behind = address + code.length[offset]
            if self._is_leapt_across(start, address, code.length[offset]):
                found.runs_on = True
                continue
            seen.add(address)
            action, at = action_of(code.data, offset, code.length[offset])
            if action is Action.RETURN:
                found.returns.add(address)
            found.variables = found.variables or self._names_variable(code, at, offset + code.length[offset])
            target = target_of(code, offset, action)
            if action in RELATIVE32 and target is not None:
                found.targets.add(target)
            if is_indirect_jump(code, action, at):
                pending += [case for case in self._cases.get(address, ()) if start <= case < end]
            if target is not None and (action in RELATIVE8 or start <= target < end) and action is not Action.CALL:
                pending.append(target)
            if self._steps.falls_through(code, offset):
                if self._is_leapt_to(start, behind):
                    found.runs_on = True
                else:
                    pending.append(behind)
        found.shared = {one for one in seen
                        if one != start and any(not self._is_own(before, seen) for before in self.before(one))}
        found.runs_on = found.runs_on or bool(found.shared)
        return found

    def _is_own(self, address: int, seen: set[int]) -> bool:
        """Whether the instruction at `address` is one of `seen`, or nobody comes to it and it stands behind them: what
        compilers fill up with behind a call that does not come back."""
        for _ in range(_MOST_BEHIND_CALL):
            if address in seen:
                return True
            code = self._flow.map_at(address)
            if code is None or address in self._entries or address in self._flow.sources:
                return False
            before = code.previous(address - code.base)
            if before is None or before + code.length[before] != address - code.base:
                return False
            address = code.base + before
        return False

    def _straight_targets(self, start: int, end: int, shared: set[int]) -> set[int]:
        """The targets of displacements of 32 bits from `start` on, in a straight line to the first that is `shared`."""
        found, address = set[int](), start
        while start <= address < end:
            code = self._steps.reached(address)
            if code is None or address in shared or self._is_ambiguous(code, address - code.base):
                break
            offset = address - code.base
            if address != start and (self._is_leapt_to(start, address) or self._is_rooted(address)):
                break
            if self._is_leapt_across(start, address, code.length[offset]):
                break
            action, _ = action_of(code.data, offset, code.length[offset])
            target = target_of(code, offset, action)
            if target is not None and action in RELATIVE32:
                found.add(target)
            if not self._steps.falls_through(code, offset) or action in (Action.BRANCH8, Action.BRANCH32):
                break
            address += code.length[offset]
        return found

    def _is_leapt_to(self, start: int, address: int) -> bool:
        """Whether somebody in front of `start` comes over it to `address`: code that was found, or a short jump in
        bytes that are not known to be something else. Then what lies between may be data that it leaps over."""
        if any(source < start for source in self._flow.sources.get(address, ())):
            return True
        code = self._flow.map_at(address)
        if code is None:
            return False
        for at in self._leaps_of(code).sources(address - code.base):
            if at < start - code.base:
                known = code.covering(at)
                is_other = known is not None and self.is_proven(code.base + known)
                if not is_other and not self._fills_up(code, at):
                    return True
        return False

    def _is_leapt_across(self, start: int, address: int, size: int) -> bool:
        """The same of the middle of an instruction, which then is none: from code that something names, but that was
        read in another way."""
        return any(source < start for at in range(address + 1, address + size) for source in self._unread.get(at, ()))

    def _leaps_of(self, code: CodeMap) -> Leaps:
        found = self._leaps.get(code.base)
        if found is None:
            found = self._leaps[code.base] = Leaps(code)
        return found

    def _fills_up(self, code: CodeMap, wanted: int) -> bool:
        """Whether the byte at offset `wanted` is of what compilers fill up with behind the end of proven code."""
        for end in range(wanted, max(wanted - _MOST_FILLED, 0), -1):
            last = code.previous(end)
            if last is None or not self.is_proven(code.base + last):
                continue
            at = last + code.length[last]
            while at <= wanted:
                insn = code.instruction(at)
                if insn is None or not is_padding(bytes(insn.bytes), insn.insn_name()):
                    return False
                at += insn.size
            return True
        return False

    def _end(self, start: int) -> int:
        """Where the next thing begins that something else than the code from `start` on names: no case of a switch."""
        first = bisect.bisect_right(self._sorted_entries, start)
        for at in range(first, len(self._sorted_entries)):
            entry = self._sorted_entries[at]
            sources = self._flow.sources.get(entry, ())
            if not any(start <= source < entry and self._is_switch(source) for source in sources):
                return entry
        return 1 << 32

    def _is_switch(self, address: int) -> bool:
        code = self._steps.reached(address)
        if code is None:
            return False
        offset = address - code.base
        action, at = action_of(code.data, offset, code.length[offset])
        return is_indirect_jump(code, action, at)

    def _is_ambiguous(self, code: CodeMap, offset: int) -> bool:
        """Whether the bytes of an instruction were read in another way as well, or something leads into its middle: one
        of them is none."""
        base = code.base
        for at in range(offset + 1, offset + code.length[offset]):
            if base + at in self._entries or base + at in self._flow.sources:
                return True
        return code.is_ambiguous(offset)

    def _names_variable(self, code: CodeMap, opcode: int, end: int) -> bool:
        """A move of EAX from or to an absolute address, or one with ModRM byte, of an address that is data."""
        data = code.data
        if not (0xA0 <= data[opcode] <= 0xA3 and end - opcode == 5) and not (
                0x88 <= data[opcode] <= 0x8B and data[opcode + 1] & 0xC7 == 5):
            return False
        address = int.from_bytes(data[end - 4 : end], "little")
        return any(low <= address < high for low, high in self._memory) and not self._flow.map_at(address)
