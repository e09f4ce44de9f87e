"""The steps that a processor takes from one instruction to the next, and whether a function comes back from a call."""

from __future__ import annotations

from porter.binary.code import CodeMap
from porter.binary.flow import Flow
from porter.binary.opcodes import Action, action_of, displacement

# Nothing runs behind these.
ENDS = frozenset(
    (Action.JUMP8, Action.JUMP32, Action.RETURN, Action.FAR_JUMP, Action.FAR_RETURN, Action.UNDEFINED)
)
_COMES_BACK = frozenset((Action.RETURN, Action.FAR_RETURN))
_DEPTH_LIMIT = 60  # calls within calls, to see whether one comes back


def target_of(code: CodeMap, offset: int, action: Action) -> int | None:
    """Where the relative branch or call at `offset`, which was found, leads; None for other instructions."""
    return target_of_bytes(code, offset, code.length[offset], action)


def target_of_bytes(code: CodeMap, offset: int, size: int, action: Action) -> int | None:
    """The same of an instruction of `size` bytes that was not."""
    after = offset + size
    by = displacement(code.data, after, action)
    return None if by is None else (code.base + after + by) & 0xFFFF_FFFF


def is_indirect_jump(code: CodeMap, action: Action, opcode: int) -> bool:
    """Whether the instruction, with its opcode at that offset, is a jump by a register or memory."""
    return action is Action.GROUP5 and code.data[opcode + 1] >> 3 & 7 in (4, 5)


class Steps:
    """Answers for one image whose code was found by `flow`."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._returns: dict[int, bool] = {}

    def reached(self, address: int) -> CodeMap | None:
        """The code that holds the reached instruction at `address`; None where there is none."""
        code = self._flow.map_at(address)
        return code if code and code.is_reached(address - code.base) else None

    def falls_through(self, code: CodeMap, offset: int) -> bool:
        """Whether the instruction behind the one at `offset` is ever the next one to run."""
        action, at = action_of(code.data, offset, code.length[offset])
        if action is Action.PLAIN:
            return True
        if action in ENDS or is_indirect_jump(code, action, at):
            return False
        if action is not Action.CALL:
            return True
        target = target_of(code, offset, action)
        return target is None or self.comes_back(target)

    def comes_back(self, function: int, depth: int = 0) -> bool:
        """Whether some way through the function at this address leads to a return, or to where nobody can tell."""
        known = self._returns.get(function)
        if known is not None:
            return known
        if depth > _DEPTH_LIMIT:
            return True  # those that never do are wrapped a few times, not so often
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
            code = self.reached(address)
            if code is None:
                return True  # elsewhere: nobody can tell
            offset = address - code.base
            action, at = action_of(code.data, offset, code.length[offset])
            if action in _COMES_BACK or is_indirect_jump(code, action, at):
                return True
            target = target_of(code, offset, action)
            if action is Action.FAR_JUMP:
                target = self._flow.image.resolve(int.from_bytes(code.data[at + 1 : at + 5], "little"))
                if target is None:
                    return True  # to a task, which may come back
            if action is Action.CALL and target is not None:
                if not self.comes_back(target, depth + 1):
                    continue
            elif target is not None:
                visit(target)
            if action not in ENDS:
                visit(address + code.length[offset])
        return False
