"""Is there code at an address that only a label or a pointer names?

Assembly labels have no type: `gdt:`, `message:` and `vector32:` look alike in the symbol table. A place
is taken for code only if everything reachable from it decodes, stays clear of other symbols' middles, of
data and of known code's middles, and ends in a return or jump. Data passes that rarely by chance, and the
usual kinds of data are excluded first: text, pointer tables, zeros.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from porter.binary.opcodes import ONE_BYTE, OPERAND_SIZE, RELATIVE8, Action, action_of, displacement

if TYPE_CHECKING:
    from porter.binary.code import CodeMap
    from porter.binary.flow import Flow
    from porter.binary.image import Image

_TEXT = re.compile(rb"[\t\n\r\x1b\x20-\x7e]{4,}\x00")
_TEXT_HEAD = re.compile(rb"[\t\n\r\x1b\x20-\x7e]{8}")
_TEXT_LIMIT = 256  # bytes of a string that follows a call
_PEEK = 16
_CALL = 0xE8
# Data does not pass for so many instructions of one trial, unless it is the same over and over: with few first bytes.
_LIMIT, _FEW_OPCODES = 4096, 16
_ZEROS = 2  # bytes of `add %al,(%eax)`, as which zeros read
_ENDS = frozenset(
    (Action.JUMP8, Action.JUMP32, Action.RETURN, Action.FAR_JUMP, Action.FAR_RETURN, Action.UNDEFINED)
)
_MAY_NOT_RETURN = frozenset((Action.CALL, Action.HALT, Action.INTERRUPT))


def looks_like_text(image: Image, address: int) -> bool:
    """True for zeros and NUL-terminated strings of some length: for places where code is to be expected."""
    head = image.read(address, _TEXT_LIMIT)
    return head[:2] == b"\x00\x00" or _TEXT.match(head) is not None


def looks_like_data(image: Image, address: int) -> bool:
    """True where the first bytes are text, zeros or a table of addresses."""
    head = image.read(address, _PEEK)
    if _TEXT_HEAD.match(head) or looks_like_text(image, address):
        return True
    words = [int.from_bytes(head[at : at + 4], "little") for at in (0, 4)]
    return len(head) >= 8 and all(image.region_at(word) for word in words)


class Trial:
    """A walk that changes nothing, to see whether the bytes at a place make sense as code."""

    def __init__(self, flow: Flow, symbol_addresses: frozenset[int]) -> None:
        self._flow, self._symbols = flow, symbol_addresses
        self._named: dict[int, bytearray] = {}  # by region: 1 where a symbol is
        for address in symbol_addresses:
            code = flow.map_at(address)
            if code:
                self._named.setdefault(code.base, bytearray(code.size))[address - code.base] = 1

    def is_code(self, start: int) -> bool:
        """True if all that is reachable from `start`, and is not yet known, can be code."""
        if looks_like_data(self._flow.image, start):
            return False
        pending, seen = [(start, False)], set[int]()
        while pending:
            begin, behind_call = pending.pop()
            targets: list[int] = []
            after_calls: list[int] = []
            if self._runs(begin, seen, targets, after_calls):
                pending += [(target, behind_call) for target in targets]
                pending += [(address, True) for address in after_calls]
            elif not behind_call:
                return False  # but a call may not come back, and have anything behind it
            if len(seen) > _LIMIT:
                return self._is_varied(seen)
        return True

    def _is_varied(self, seen: set[int]) -> bool:
        """Whether instructions at these addresses begin with so many bytes as those of code do."""
        found = set()
        for address in seen:
            code = self._flow.map_at(address)
            if code is not None:
                found.add(code.data[address - code.base])
        return len(found) > _FEW_OPCODES

    def _runs(self, start: int, seen: set[int], targets: list[int], after_calls: list[int]) -> bool:
        """Walk from `start` to a call or the end of the flow; False where that cannot be code."""
        code = self._flow.map_at(start)
        if code is None:
            return False
        base, data, named = code.base, code.data, self._named.get(code.base)
        offset = start - base
        if code.covering(offset) not in (None, offset):
            return False
        mark = offset  # no byte of the code between here and there is known to be anything
        while base + offset not in seen:
            if offset >= code.size:
                return self._runs(base + offset, seen, targets, after_calls)  # in the next region, if there is one
            if offset >= mark:
                if code.evidence[offset]:
                    return code.is_reached(offset)
                mark = code.next_mark(offset)
            if len(seen) > _LIMIT:
                break
            seen.add(base + offset)
            after = offset + code.decode(offset)
            if after == offset or (after > mark and code.next_mark(offset) < after):
                return False
            if named and named[offset + 1 : after].strip(b"\0"):
                return False
            if ONE_BYTE[data[offset]] is Action.PLAIN:
                if data[offset] == 0 == data[offset + 1] and after - offset == _ZEROS:
                    return False
            else:
                action, at = action_of(data, offset, after - offset)
                if not self._may_lead(code, offset, after, action, at, targets):
                    return False
                if self._ends(code, after, action, at):
                    break
                if data[offset] == _CALL:
                    after_calls.append(base + after)
                    break
            offset = after
        return True

    def _may_lead(self, code: CodeMap, offset: int, after: int, action: Action, at: int, pending: list[int]) -> bool:
        """Note where a branch or call, of which these are first byte, end and opcode, leads; False where it cannot."""
        by = displacement(code.data, after, action)
        if by is None:
            return True
        if action in RELATIVE8:
            return self._target(code.base + after + by, action, pending)
        if OPERAND_SIZE in code.data[offset:at]:
            return False
        return self._target(code.base + after + by & 0xFFFF_FFFF, action, pending)

    def _ends(self, code: CodeMap, after: int, action: Action, at: int) -> bool:
        """Whether nothing runs behind an instruction."""
        if action in _ENDS or (action is Action.GROUP5 and code.data[at + 1] >> 3 & 7 in (4, 5)):
            return True
        return action in _MAY_NOT_RETURN and looks_like_text(self._flow.image, code.base + after)

    def _target(self, target: int, action: Action, pending: list[int]) -> bool:
        """False if code cannot branch to `target`."""
        flow = self._flow
        code = flow.map_at(target)
        if code is None:
            if flow.image.relocatable and target == 0:  # undefined symbols count as address 0
                return True
            # Code in a section that is not marked as such: to be believed only of a place that has a name.
            return target in self._symbols and flow.image.region_at(target) is not None
        if flow.is_reached(target):
            return True
        offset = target - code.region.base
        if code.evidence[offset] or code.covering(offset) is not None:
            return False
        pending.append(target)
        return True
