"""Which of the instructions that were found are code beyond doubt.

Finding code guesses where it must (``porter.binary.discovery``): behind calls that may not return, at labels, at places
that only a pointer names. A report can live with a wrong guess; a port cannot, for it would change data. So an
instruction counts as proven only if a way leads to it from where the program is entered, or from a function's symbol, in
steps that a processor would take:

* to the next instruction; behind a direct call only where the function that is called comes back;
* along direct branches and calls, switch tables, and registers that were just loaded with a constant.

Code that only a pointer or a label names is proven by what it does, all of it that can be reached from there:

* it calls or jumps, by a displacement of 32 bits, to the beginning of a proven instruction, which data hits by chance in
  one of many millions of cases;
* proven code has its address, and it has that of a variable;
* it is long, and nearly all of it are the instructions that programs are mostly made of: of random bytes that decode at
  all, each is one in three;
* proven code stores its address in memory, as it does those of functions and tasks, and it stands right behind proven
  code. This is the weakest; `guesses` has what rests on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from porter.binary.code import CodeMap
from porter.binary.flow import Flow
from porter.binary.image import SymbolKind
from porter.binary.opcodes import ONE_BYTE, TWO_BYTE, Action, prefix_length

_NO_FALL = frozenset((Action.JUMP8, Action.JUMP32, Action.RETURN, Action.FAR_JUMP, Action.FAR_RETURN, Action.UNDEFINED))
_RELATIVE8 = frozenset((Action.BRANCH8, Action.JUMP8))
_RELATIVE32 = frozenset((Action.BRANCH32, Action.JUMP32, Action.CALL))
_COMES_BACK = frozenset((Action.RETURN, Action.FAR_RETURN))
_CLOSURE_LIMIT = 4000  # instructions of unproven code that are looked at for what proves them
_DEPTH_LIMIT = 200  # calls within calls, to see whether one comes back


# First bytes of the instructions that compilers and authors of kernels use most.
_USUAL = frozenset(
    (0x01, 0x03, 0x09, 0x0B, 0x21, 0x23, 0x29, 0x2B, 0x31, 0x33, 0x39, 0x3B, 0x3D, *range(0x50, 0x62), 0x68, 0x6A, 0x74,
     0x75, 0x7E, 0x7F, 0x76, 0x77, 0x83, 0x81, 0x84, 0x85, 0x88, 0x89, 0x8A, 0x8B, 0x8D, 0x8E, 0x90, 0x9C, 0x9D, 0xA1, 0xA3,
     *range(0xB8, 0xC0), 0xC3, 0xC6, 0xC7, 0xC9, 0xCD, 0xCF, 0xE8, 0xE9, 0xEB, 0xEC, 0xEE, 0xF4, 0xF7, 0xFA, 0xFB, 0xFF)
)  # fmt: skip
_USUAL_TWO_BYTE = frozenset(
    (b"\x0f\x84", b"\x0f\x85", b"\x0f\xb6", b"\x0f\xb7", b"\x0f\xbe", b"\x0f\x20", b"\x0f\x22", b"\x0f\x01", b"\x0f\x1f")
)  # fmt: skip
_LONG, _VERY_LONG = 10, 16  # instructions
_MOST_UNUSUAL = 0.05
_STORE = 0xC7  # mov $imm32, memory


@dataclass
class _Operands:
    """Of some code: the targets of its displacements of 32 bits, whether it names a variable, how many instructions it
    has and how many of them are usual ones."""

    targets: set[int] = field(default_factory=set)
    variables: bool = False
    count: int = 0
    usual: int = 0

    def is_usual(self, least: int) -> bool:
        """Whether there are so many, and nearly all are usual."""
        return self.count >= least and self.count - self.usual <= _MOST_UNUSUAL * self.count


class Proof:
    """Answers for one image whose code was found by `flow`."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._roots = {symbol.address for symbol in flow.image.symbols if symbol.kind is SymbolKind.FUNCTION}
        if flow.image.entry is not None:
            self._roots.add(flow.image.entry)
        self._memory = [(segment["p_vaddr"], segment["p_vaddr"] + segment["p_memsz"])
                        for segment in flow.image.elf.iter_segments("PT_LOAD")]  # fmt: skip
        self._labels = {symbol.address for symbol in flow.image.labels}
        self._proven: dict[int, bool] = {}
        self.guesses: set[int] = set()
        self._returns: dict[int, bool] = {}

    def is_proven(self, address: int) -> bool:
        """Whether the reached instruction at a link address is code beyond doubt."""
        known = self._proven.get(address)
        return self._search(address) if known is None else known

    def rests_on_guess(self, address: int) -> bool:
        """Whether the instruction is among what a guess leads to at once."""
        return any(address in self.reachable([guess]) for guess in self.guesses)

    # --- ways that lead to an instruction -----------------------------------------------------------------

    def _search(self, wanted: int) -> bool:
        """Walk back from `wanted` to a root or to proven code; failing that, to code that proves itself."""
        came_from: dict[int, int] = {wanted: wanted}
        pending, heads = [wanted], list[int]()
        while pending:
            address = pending.pop()
            if address in self._roots or self._proven.get(address):
                return self._accept(address, came_from)
            if address in self._flow.references or not self._is_fallen_into(address):
                heads.append(address)
            for one in self.before(address):
                if one not in came_from and self._proven.get(one) is not False:
                    came_from[one] = address
                    pending.append(one)
        self._proven.update(dict.fromkeys(came_from, False))
        for head in heads:
            if self._is_corroborated(head):
                for one in came_from:
                    if not self._proven[one]:
                        del self._proven[one]
                self._proven[head] = True
                if head == wanted or self._search(wanted):
                    return True
        return False

    def _accept(self, address: int, came_from: dict[int, int]) -> bool:
        """All on the way from `address` to what was asked for is proven."""
        while True:
            self._proven[address] = True
            if came_from[address] == address:
                return True
            address = came_from[address]

    def _is_fallen_into(self, address: int) -> bool:
        code = self._flow.map_at(address)
        previous = code.previous(address - code.region.base) if code else None
        return bool(code and previous is not None and self._falls_through(code, previous))

    def before(self, address: int) -> Iterator[int]:
        """Addresses of instructions from which a processor comes to this one."""
        code = self._flow.map_at(address)
        if code is None:
            return
        previous = code.previous(address - code.region.base)
        if previous is not None and self._falls_through(code, previous):
            yield code.region.base + previous
        yield from self._flow.sources.get(address, ())

    def _action(self, code: CodeMap, offset: int) -> tuple[Action, int]:
        """What an instruction does to the flow, and where its opcode lies."""
        at = offset + prefix_length(code.data, offset, code.length[offset])
        action = ONE_BYTE[code.data[at]]
        if action == Action.TWO_BYTE:
            return Action(TWO_BYTE[code.data[at + 1]]), at
        return Action(action), at

    def _target(self, code: CodeMap, offset: int, action: Action) -> int | None:
        after = offset + code.length[offset]
        if action in _RELATIVE8:
            displacement = code.data[after - 1] - (256 if code.data[after - 1] & 0x80 else 0)
        elif action in _RELATIVE32:
            displacement = int.from_bytes(code.data[after - 4 : after], "little")
        else:
            return None
        return (code.region.base + after + displacement) & 0xFFFF_FFFF

    def _falls_through(self, code: CodeMap, offset: int) -> bool:
        action, at = self._action(code, offset)
        if action in _NO_FALL or (action == Action.GROUP5 and code.data[at + 1] >> 3 & 7 in (4, 5)):
            return False
        if action != Action.CALL:
            return True
        target = self._target(code, offset, action)
        return target is None or self.comes_back(target)

    def reachable(self, starts: Iterable[int]) -> set[int]:
        """Instructions to which relative flow leads from `starts`, calls included; jumps by address are not followed."""
        pending, seen = list(starts), set[int]()
        while pending:
            address = pending.pop()
            code = self._flow.map_at(address)
            if address in seen or code is None or not code.is_reached(address - code.region.base):
                continue
            seen.add(address)
            offset = address - code.region.base
            action, _ = self._action(code, offset)
            target = self._target(code, offset, action)
            if target is not None:
                pending.append(target)
            if self._falls_through(code, offset):
                pending.append(address + code.length[offset])
        return seen

    # --- functions that come back -------------------------------------------------------------------------

    def comes_back(self, function: int, depth: int = 0) -> bool:
        """Whether some way through the function at this address leads to a return, or to where nobody can tell."""
        known = self._returns.get(function)
        if known is not None:
            return known
        if depth > _DEPTH_LIMIT:
            return False
        self._returns[function] = False  # while it is looked at: a way that comes by here again proves nothing
        found = self._finds_return(function, depth)
        self._returns[function] = found
        return found

    def _finds_return(self, function: int, depth: int) -> bool:
        pending, seen = [function], {function}

        def visit(address: int) -> None:
            if address not in seen:
                seen.add(address)
                pending.append(address)

        while pending:
            address = pending.pop()
            code = self._flow.map_at(address)
            if code is None or not code.is_reached(address - code.region.base):
                return True  # elsewhere: nobody can tell
            offset = address - code.region.base
            action, at = self._action(code, offset)
            if action in _COMES_BACK or (action == Action.GROUP5 and code.data[at + 1] >> 3 & 7 in (4, 5)):
                return True
            target = self._target(code, offset, action)
            if action == Action.FAR_JUMP:
                target = self._flow.image.resolve(int.from_bytes(code.data[at + 1 : at + 5], "little"))
                if target is None:
                    return True  # to a task, which may come back
            if action == Action.CALL and target is not None:
                if not self.comes_back(target, depth + 1):
                    continue
            elif target is not None:
                visit(target)
            if action not in _NO_FALL:
                visit(address + code.length[offset])
        return False

    # --- what unproven code does --------------------------------------------------------------------------

    def _operands(self, start: int) -> _Operands:
        """What is to be seen in all that `start` leads to."""
        pending, seen, found = [start], set[int](), _Operands()
        while pending and len(seen) < _CLOSURE_LIMIT:
            address = pending.pop()
            code = self._flow.map_at(address)
            if address in seen or code is None or not code.is_reached(address - code.region.base):
                continue
            seen.add(address)
            offset = address - code.region.base
            action, at = self._action(code, offset)
            found.variables = found.variables or self._names_variable(code, at, offset + code.length[offset])
            found.usual += code.data[at] in _USUAL or code.data[at : at + 2] in _USUAL_TWO_BYTE
            target = self._target(code, offset, action)
            if target is not None:
                pending.append(target)
                if action in _RELATIVE32:
                    found.targets.add(target)
            if self._falls_through(code, offset):
                pending.append(address + code.length[offset])
        found.count = len(seen)
        return found

    def _names_variable(self, code: CodeMap, opcode: int, end: int) -> bool:
        """A move of EAX from or to an absolute address, or one with ModRM byte, of an address that is data."""
        data = code.data
        if not (0xA0 <= data[opcode] <= 0xA3 and end - opcode == 5) and not (
                0x88 <= data[opcode] <= 0x8B and data[opcode + 1] & 0xC7 == 5):
            return False
        address = int.from_bytes(data[end - 4 : end], "little")
        return any(low <= address < high for low, high in self._memory) and not self._flow.map_at(address)

    def _is_corroborated(self, start: int) -> bool:
        found = self._operands(start)
        if any(self._is_known_start(target) for target in sorted(found.targets)):
            return True
        users = [(code, offset) for code, offset in self._flow.references.get(start, ())
                 if self.is_proven(code.region.base + offset)]  # fmt: skip
        if (found.variables and users) or found.is_usual(_LONG if users or start in self._labels else _VERY_LONG):
            return True
        if any(code.data[offset] == _STORE for code, offset in users) and self._adjoins(start):
            self.guesses.add(start)
            return True
        return False

    def _adjoins(self, start: int) -> bool:
        """Whether a proven instruction ends where this one begins."""
        code = self._flow.map_at(start)
        previous = code.previous(start - code.region.base) if code else None
        return bool(code and previous is not None and self.is_proven(code.region.base + previous))

    def _is_known_start(self, address: int) -> bool:
        code = self._flow.map_at(address)
        return bool(code and code.is_reached(address - code.region.base) and self.is_proven(address))
