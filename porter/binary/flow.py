"""Follow control flow through 32-bit code.

From every given start, instructions are walked until the flow ends; direct targets are walked in turn.
Indirect jumps are followed where the code at hand tells the target: switch tables, a register or stack
slot that was just loaded with a constant, far jumps by link or load address.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable

from porter.binary.code import CodeMap, Evidence
from porter.binary.image import Image
from porter.binary.opcodes import ONE_BYTE, OPERAND_SIZE, TWO_BYTE, Action, prefix_length
from porter.binary.plausible import looks_like_text
from porter.binary.ported import ENDING_GATES, FAR_GATES, GATE_SEGMENT, gate_of_pointer, is_restart

SOURCES_KEPT = 4  # of one target: enough to find a way to it that is beyond doubt
_TABLE_LIMIT = 4096  # entries of one switch table
_TELL_EACH = 10_000  # bytes
_MAY_NOT_RETURN = (Action.CALL, Action.HALT, Action.INTERRUPT, Action.FAR_CALL, Action.FAR_JUMP)


Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""


def no_progress(_done: int, _all: int) -> None:
    """Nobody looks."""


def _signed8(value: int) -> int:
    return value - 256 if value & 0x80 else value


class Flow:
    """The walk, and what it finds: `candidates` (addresses that may be sensitive) and `references`.

    `progress` is called with how many bytes were found to be code, and how many there are."""

    def __init__(self, image: Image, progress: Progress = no_progress) -> None:
        self.image, self._progress = image, progress
        self._found = self._told = 0  # bytes
        self._bytes = sum(len(region.data) for region in image.code)
        self.maps = [CodeMap(region) for region in image.code]
        self._bases = [code.region.base for code in self.maps]
        self._ends = [code.region.end for code in self.maps]
        self.candidates: list[tuple[CodeMap, int]] = []
        # Code addresses that appear as immediate or displacement: the instructions that have them.
        self.references: defaultdict[int, list[tuple[CodeMap, int]]] = defaultdict(list)
        self.undecodable: set[int] = set()  # where the flow met bytes that are no instruction
        self.strays: set[int] = set()  # where it left the executable regions for others
        # By top byte of an address: whether code may lie there. Sorts out most constants at once.
        self._high_bytes = bytes(
            any(r.base >> 24 <= byte <= (r.end - 1) >> 24 for r in image.code) for byte in range(256)
        )
        self._functions = [(s.address, s.address + s.size) for s in image.functions if s.size]
        self._function_starts = [start for start, _ in self._functions]
        # Targets of branches and calls, switch tables and known constants: some of the instructions that lead there.
        self.sources: dict[int, list[int]] = {}
        self.by_load_address: dict[int, set[int]] = {}  # targets that are named by where they are loaded: their sources
        self._table_entries: set[int] = set()
        self._pending: list[int] = []
        for symbol in image.objects:
            self.exclude(symbol.address, symbol.address + symbol.size, Evidence.DATA)

    def map_at(self, address: int) -> CodeMap | None:
        """The code that holds `address`; None where none does."""
        index = bisect.bisect_right(self._bases, address) - 1
        return self.maps[index] if index >= 0 and address < self._ends[index] else None

    def exclude(self, start: int, end: int, why: Evidence) -> None:
        code = self.map_at(start)
        if code:
            code.exclude(start - code.region.base, end - code.region.base, why)

    def is_reached(self, address: int) -> bool:
        code = self.map_at(address)
        return bool(code and code.is_reached(address - code.region.base))

    def follow(self, starts: Iterable[int], evidence: Evidence) -> None:
        """Walk from each start and from all that it leads to."""
        self._pending.extend(starts)
        while self._pending:
            address = self._pending.pop()
            code = self.map_at(address)
            if code is None:
                self.strays.add(address)
                continue
            offset = address - code.region.base
            if code.evidence[offset] == Evidence.DATA:
                code.include(offset)
            self._found += self._run(code, offset, evidence) - offset
            if self._found - self._told > _TELL_EACH:
                self._told = self._found
                self._progress(self._found, self._bytes)

    def _function_end(self, address: int) -> int | None:
        index = bisect.bisect_right(self._function_starts, address) - 1
        return self._functions[index][1] if index >= 0 and address < self._functions[index][1] else None

    def _run(self, code: CodeMap, offset: int, evidence: Evidence) -> int:
        """Walk in a straight line to where the flow ends, or is known; the offset of that."""
        data, size, length, marks = code.data, code.size, code.length, code.evidence
        base, high_bytes = code.base, self._high_bytes
        function_end = self._function_end(base + offset)
        constants: dict[int, tuple[int, int]] = {}  # register -> (offset of the load, value)
        doubtful = False  # doubtful: flow may not have come back from the last instruction
        while offset < size and not marks[offset]:
            if doubtful and self._ends_here(base + offset, function_end):
                return offset
            doubtful = False
            step = length[offset]
            if step in (0, 0xFF):
                step = code.decode(offset)
                if not step:
                    self.undecodable.add(base + offset)
                    return offset
            marks[offset] = evidence
            after = offset + step
            if step >= 5 and high_bytes[data[after - 1]]:
                value = int.from_bytes(data[after - 4 : after], "little")
                if self.map_at(value):
                    self.references[value].append((code, offset))
            action = ONE_BYTE[data[offset]]
            if action is not Action.PLAIN:
                at = offset
                if action is Action.PREFIX:
                    at += prefix_length(data, offset, step)
                    action = ONE_BYTE[data[at]]
                if action is Action.TWO_BYTE:
                    at += 1
                    action = TWO_BYTE[data[at]]
                if action is Action.CONSTANT:
                    if step - (at - offset) == 5:
                        constants[data[at] & 7] = offset, int.from_bytes(data[at + 1 : at + 5], "little")
                elif action is Action.ADDRESS:
                    if data[at + 1] & 0xC7 == 5:  # lea disp32, reg
                        register = data[at + 1] >> 3 & 7
                        constants[register] = offset, int.from_bytes(data[at + 2 : at + 6], "little")
                elif action is not Action.PLAIN:
                    target = self._targets(code, offset, at, after, action, constants)
                    if not target:
                        return after
                    doubtful = action in _MAY_NOT_RETURN
            offset = after
        return offset

    def _ends_here(self, address: int, function_end: int | None) -> bool:
        """True if what lies behind a call (INT, HLT, jump to a task) is not its continuation: it did not return."""
        if function_end is not None:
            return address >= function_end
        return looks_like_text(self.image, address)

    def _targets(
        self,
        code: CodeMap,
        offset: int,
        at: int,
        after: int,
        action: Action,
        constants: dict[int, tuple[int, int]],
    ) -> bool:
        """Note the targets of one instruction (opcode at `at`); False where the flow ends with it."""
        data, base = code.data, code.region.base
        word = OPERAND_SIZE in data[offset:at]
        if action is Action.JUMP8 and is_restart(data, at):
            return True
        if action in (Action.BRANCH8, Action.JUMP8):
            self._lead(base + offset, (base + after + _signed8(data[after - 1])) & 0xFFFF_FFFF)
            return action == Action.BRANCH8
        if action in (Action.BRANCH32, Action.JUMP32, Action.CALL):
            if not word:
                relative = int.from_bytes(data[after - 4 : after], "little")
                self._lead(base + offset, (base + after + relative) & 0xFFFF_FFFF)
            return action != Action.JUMP32
        if action == Action.GROUP5:
            return self._group5(code, offset, at, after, constants)
        if action == Action.RETURN:
            self._pushed_target(code, code.previous(offset))
            return False
        self.candidates.append((code, offset))
        if action in (Action.FAR_JUMP, Action.FAR_CALL):
            to_code = word or self._absolute(base + offset, int.from_bytes(data[at + 1 : at + 5], "little"))
            return action == Action.FAR_CALL or not to_code  # to a task: another one comes back behind it
        if action == Action.FAR_RETURN:
            self._pushed_target(code, code.previous(offset))
            return False
        return action != Action.UNDEFINED

    def _lead(self, source: int, target: int) -> None:
        """Note that the instruction at `source` leads to `target`."""
        self._pending.append(target)
        known = self.sources.setdefault(target, [])
        if len(known) < SOURCES_KEPT:
            known.append(source)

    def _absolute(self, source: int, address: int) -> bool:
        """Note a target by link or load address; False where the image has none there."""
        target = self.image.resolve(address)
        if target is not None:
            self._lead(source, target)
            if target != address:
                self.by_load_address.setdefault(target, set()).add(source)
        return target is not None

    def _pushed_target(self, code: CodeMap, push: int | None) -> None:
        """A return goes to the `push $target` in front of it."""
        if push is not None and code.data[push] == 0x68 and code.length[push] == 5:
            self._absolute(code.region.base + push, int.from_bytes(code.data[push + 1 : push + 5], "little"))

    def _carried_target(self, code: CodeMap, gate: int, after: int) -> bool:
        """A far gate goes to the offset in the `push $offset` behind it; False where the image has none there."""
        return code.data[after : after + 1] == b"\x68" and self._absolute(
            code.region.base + gate, int.from_bytes(code.data[after + 1 : after + 5], "little")
        )

    def _group5(self, code: CodeMap, offset: int, at: int, after: int, constants: dict[int, tuple[int, int]]) -> bool:
        modrm = code.data[at + 1]
        operation = modrm >> 3 & 7
        if operation in (3, 5):  # far
            self.candidates.append((code, offset))
            return operation == 3
        if operation not in (2, 4):
            return True
        if modrm == 0x15 and GATE_SEGMENT in code.data[offset:at]:
            number = gate_of_pointer(int.from_bytes(code.data[after - 4 : after], "little"))
            to_code = number in FAR_GATES and self._carried_target(code, offset, after)
            return number not in ENDING_GATES or (number in FAR_GATES and not to_code)
        if modrm >> 6 == 3:
            known = constants.get(modrm & 7)
            if known and not self._written_since(code, known[0], offset):
                self._absolute(code.region.base + offset, known[1])
        elif operation == 4 and modrm & 0xC7 == 4 and code.data[at + 2] & 0xC7 == 0x85:  # jmp *table(,%reg,4)
            self._switch(code, offset, int.from_bytes(code.data[after - 4 : after], "little"))
        return operation == 2

    def _written_since(self, code: CodeMap, load: int, jump: int) -> bool:
        """True if the register that the instruction at `load` sets is set again before `jump`."""
        first = code.instruction(load)
        written = set(first.regs_access()[1]) if first else set()
        at = load + code.length[load]
        while at < jump:
            insn = code.instruction(at)
            if insn is None or written & set(insn.regs_access()[1]):
                return True
            at += insn.size
        return False

    def _switch(self, code: CodeMap, jump: int, table: int) -> None:
        """Follow a switch table: words that point into the function (or section) of the jump."""
        region = self.image.region_at(table)
        if region is None:
            return
        low, high = code.region.base, code.region.end
        index = bisect.bisect_right(self._function_starts, low + jump) - 1
        if index >= 0 and low + jump < self._functions[index][1]:
            low, high = self._functions[index]
        entry = table
        while entry + 4 <= region.end and entry - table < 4 * _TABLE_LIMIT:
            target = int.from_bytes(region.data[entry - region.base : entry - region.base + 4], "little")
            # Without symbols a table seems to go on into the next one: read every word once only.
            if not low <= target < high or entry in self._table_entries:
                break
            self._table_entries.add(entry)
            self._lead(code.region.base + jump, target)
            entry += 4
        self.exclude(table, entry, Evidence.DATA)
