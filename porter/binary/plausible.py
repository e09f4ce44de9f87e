"""Is there code at an address that only a label or a pointer names?

Assembly labels have no type: `gdt:`, `message:` and `vector32:` look alike in the symbol table. A place
is taken for code only if everything reachable from it decodes, stays clear of other symbols' middles, of
data and of known code's middles, and ends in a return or jump. Data passes that rarely by chance, and the
usual kinds of data are excluded first: text, pointer tables, zeros.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from porter.binary.opcodes import ONE_BYTE, OPERAND_SIZE, TWO_BYTE, Action, prefix_length

if TYPE_CHECKING:
    from porter.binary.flow import Flow
    from porter.binary.image import Image

_TEXT = re.compile(rb"[\t\n\r\x1b\x20-\x7e]{4,}\x00")
_TEXT_HEAD = re.compile(rb"[\t\n\r\x1b\x20-\x7e]{8}")
_TEXT_LIMIT = 256  # bytes of a string that follows a call
_PEEK = 16
_CALL = 0xE8
_LIMIT = 4096  # instructions of one trial
_ENDS = (Action.JUMP8, Action.JUMP32, Action.RETURN, Action.FAR_JUMP, Action.FAR_RETURN, Action.UNDEFINED)


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
            elif not behind_call or len(seen) > _LIMIT:
                return False  # but a call may not come back, and have anything behind it
        return True

    def _runs(self, start: int, seen: set[int], targets: list[int], after_calls: list[int]) -> bool:
        """Walk from `start` to a call or the end of the flow; False where that cannot be code."""
        address: int | None = start
        while address is not None and address not in seen:
            if self._flow.is_reached(address):
                break
            seen.add(address)
            step = self._step(address, targets)
            if step is None or len(seen) > _LIMIT:
                return False
            if step[0] is not None and self._is_call(address):
                after_calls.append(step[0])
                break
            (address,) = step
        return True

    def _is_call(self, address: int) -> bool:
        code = self._flow.map_at(address)
        return code is not None and code.data[address - code.region.base] == _CALL

    def _step(self, address: int, pending: list[int]) -> tuple[int | None] | None:
        """The address behind the instruction (None: flow ends), in a tuple; None if this cannot be code."""
        flow = self._flow
        code = flow.map_at(address)
        if code is None:
            return None
        offset = address - code.region.base
        size = code.decode(offset)
        if not size or code.evidence[offset] or code.covering(offset) is not None:
            return None
        inside = range(offset + 1, offset + size)
        if any(code.evidence[at] or code.region.base + at in self._symbols for at in inside):
            return None
        data, at, after = code.data, offset + prefix_length(code.data, offset, size), offset + size
        if data[offset:after] == b"\x00\x00":
            return None
        action = Action(ONE_BYTE[data[at]])
        if action == Action.TWO_BYTE:
            action = Action(TWO_BYTE[data[at + 1]])
        target = None
        if action in (Action.BRANCH8, Action.JUMP8):
            displacement = data[after - 1] - (256 if data[after - 1] & 0x80 else 0)
            target = address + size + displacement
        elif action in (Action.BRANCH32, Action.JUMP32, Action.CALL):
            if OPERAND_SIZE in data[offset:at]:
                return None
            target = address + size + int.from_bytes(data[after - 4 : after], "little") & 0xFFFF_FFFF
        if target is not None and not self._target(target, action, pending):
            return None
        ends = action in _ENDS or (action == Action.GROUP5 and data[at + 1] >> 3 & 7 in (4, 5))
        if not ends and action in (Action.CALL, Action.HALT, Action.INTERRUPT):
            ends = looks_like_text(flow.image, address + size)
        return (None if ends else address + size,)

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
