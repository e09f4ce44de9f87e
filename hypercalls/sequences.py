"""The instruction sequences that ported code does inline, as bytes: what the macros in ``gas`` assemble to.

A sequence stands for one instruction of the guest. Where it is stopped in its middle, by a fault or a single
step, the monitor must know where it began and which registers it holds on the stack, so that it can undo the
first part and do the instruction as a whole. From this table it does.

Source of facts: encodings by the Intel SDM, volume 2. A test assembles the macros and compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from hypercalls import layout
from hypercalls.binary_port import HLT
from hypercalls.structs import SHARED
from hypercalls.table import by_name

GENERAL = {"ax": 0, "cx": 1, "dx": 2, "bx": 3, "bp": 5, "si": 6, "di": 7}  # SP is no register of the macros
SEGMENTS = {"es": 0, "cs": 1, "ss": 2, "ds": 3, "fs": 4, "gs": 5}
_SEGMENT_NAMES = {number: name for name, number in SEGMENTS.items()}
_DATA = ("ds", "es", "fs", "gs")
_EAX, _ECX = 0, 1
_CS_PREFIX, _SS_PREFIX, _WORD_PREFIX = b"\x2e", b"\x36", b"\x66"
MAX_STEPS, MAX_BYTES = 12, 56


class Action(IntEnum):
    """The instruction that a sequence stands for."""

    CLI = 0
    STI = 1
    PUSHF = 2
    POPF = 3
    LOAD = 4  # mov reg, segment
    STORE = 5  # mov segment, reg
    PUSH = 6  # push segment
    POP = 7  # pop segment
    INT = 8  # the vector is in the push behind
    READ_CR = 9  # mov cr, reg: `segment` is the number
    SYSENTER = 10


@dataclass(frozen=True)
class Step:
    """One instruction of a sequence, and what must be undone where it is the next to run.

    `saved` are the general registers on the stack, the topmost first; `below` is by how many bytes ESP is
    lower than before the sequence. `done`: the instruction has happened, nothing is to be undone.
    """

    code: bytes
    below: int = 0
    saved: tuple[int, ...] = ()
    done: bool = False


@dataclass(frozen=True)
class Sequence:
    """`reg`, `segment` and `size` (bytes) are the operands of the instruction; 0 where it has none."""

    action: Action
    steps: tuple[Step, ...]
    reg: int = 0
    segment: int = 0
    size: int = 4

    @property
    def name(self) -> str:
        """What the instruction does, as the hypercall is called that does the same."""
        if self.action in (Action.LOAD, Action.POP):
            return f"load_{_SEGMENT_NAMES[self.segment]}"
        if self.action in (Action.STORE, Action.PUSH):
            return f"store_{_SEGMENT_NAMES[self.segment]}"
        return f"read_cr{self.segment}" if self.action is Action.READ_CR else self.action.name.lower()

    @property
    def code(self) -> bytes:
        """All its bytes."""
        return b"".join(step.code for step in self.steps)


def _absolute(opcode: bytes, reg: int, address: int, word: bool = False) -> bytes:
    """An instruction on a word of the hole, through SS; EAX and AL have shorter forms."""
    prefix = _SS_PREFIX + (_WORD_PREFIX if word else b"")
    return prefix + opcode + bytes([reg << 3 | 5]) + address.to_bytes(4, "little")


def _read(reg: int, address: int, word: bool = False) -> bytes:
    if reg == _EAX:
        return _SS_PREFIX + (_WORD_PREFIX if word else b"") + b"\xa1" + address.to_bytes(4, "little")
    return _absolute(b"\x8b", reg, address, word)


def _shared(field: str) -> int:
    return layout.HOLE + layout.SHARED_OFFSET + SHARED.offset(field)


def _map(opcode: bytes, reg: int, index: int, offset: int) -> bytes:
    """An instruction on element `index` (a register) of a table of words in the hole."""
    return (_SS_PREFIX + opcode + bytes([reg << 3 | 4, 1 << 6 | index << 3 | 5])
            + (layout.HOLE + offset).to_bytes(4, "little"))


def gate(name: str) -> bytes:
    """The call that makes a hypercall: 7 bytes that work at any address."""
    address = layout.HOLE + layout.GATES_OFFSET + 4 * by_name[name].number
    return _CS_PREFIX + b"\xff\x15" + address.to_bytes(4, "little")


def _push(reg: int) -> bytes:
    return bytes([0x50 + reg])


def _pop(reg: int) -> bytes:
    return bytes([0x58 + reg])


def _move_esp(by: int) -> bytes:
    return b"\x8d\x64\x24" + (by & 0xFF).to_bytes(1, "little")


def _flags() -> Iterator[Sequence]:
    mask, not_pending = _shared("upcall_mask"), _shared("not_pending")
    store = b"\xc6\x05" + mask.to_bytes(4, "little")
    yield Sequence(Action.CLI, (Step(_SS_PREFIX + store + b"\x01"),))
    held = 4, (_ECX,)
    yield Sequence(Action.STI, (
        Step(_SS_PREFIX + store + b"\x00"), Step(_push(_ECX)),
        Step(_absolute(b"\x0f\xb6", _ECX, not_pending), *held), Step(b"\xe3\x03", *held),
        Step(_pop(_ECX), *held), Step(b"\xeb\x08"), Step(_pop(_ECX), *held), Step(gate("deliver_pending"))))
    both = 12, (_ECX, _EAX)
    flags_out, flags_in = layout.HOLE + layout.FLAGS_OUT_OFFSET, layout.HOLE + layout.FLAGS_IN_OFFSET
    yield Sequence(Action.PUSHF, (
        Step(b"\x9c"), Step(_push(_EAX), 4), Step(_push(_ECX), 8, (_EAX,)), Step(b"\x8b\x44\x24\x08", *both),
        Step(b"\x0f\xb6\xcc", *both), Step(_absolute(b"\x8a", 5, mask), *both),
        Step(_SS_PREFIX + b"\x8a\xa1" + flags_out.to_bytes(4, "little"), *both), Step(b"\x89\x44\x24\x08", *both),
        Step(_pop(_ECX), *both), Step(_pop(_EAX), 8, (_EAX,))))
    held = 4, (_EAX,)
    yield Sequence(Action.POPF, (
        Step(_push(_EAX)), Step(b"\x8b\x44\x24\x04", *held), Step(b"\x0f\xb6\xc4", *held),
        Step(_SS_PREFIX + b"\x8a\x80" + flags_in.to_bytes(4, "little"), *held),
        Step(_SS_PREFIX + b"\xa2" + mask.to_bytes(4, "little"), *held),
        Step(_absolute(b"\x0a", _EAX, not_pending), *held), Step(_pop(_EAX), *held), Step(b"\x7e\x03"),
        Step(b"\x9d"), Step(b"\xeb\x08", done=True), Step(b"\x9d"), Step(gate("deliver_pending"), done=True)))


def _moves() -> Iterator[Sequence]:
    for name in _DATA:
        segment = SEGMENTS[name]
        for reg in GENERAL.values():
            held = 4, (reg,)
            yield Sequence(Action.LOAD, (
                Step(_push(reg)), Step(bytes([0x0F, 0xB7, 0xC0 | reg << 3 | reg]), *held),
                Step(_map(b"\x8e", segment, reg, layout.SELMAP_OFFSET), *held), Step(_pop(reg), *held)), reg, segment)
            get = bytes([0x8C, 0xC0 | segment << 3 | reg])
            translate = _map(b"\x0f\xb7", reg, reg, layout.REVMAP_OFFSET)
            yield Sequence(Action.STORE, (
                Step(_push(reg)), Step(get, *held), Step(translate, *held),
                Step(bytes([0x66, 0x89, reg << 3 | 4, 0x24]), *held), Step(_pop(reg), *held)), reg, segment, 2)
            yield Sequence(Action.STORE, (Step(get), Step(translate)), reg, segment)
    for name in ("cs", "ss"):
        for reg in GENERAL.values():
            for size in (2, 4):
                yield Sequence(Action.STORE, (Step(_read(reg, _shared(name), size == 2)),), reg, SEGMENTS[name], size)
    for number in (0, 2, 3, 4):
        for reg in range(8):
            yield Sequence(Action.READ_CR, (Step(_read(reg, _shared(f"cr{number}"))),), reg, number)


def _stack() -> Iterator[Sequence]:
    for name in _DATA:
        segment = SEGMENTS[name]
        for size in (4, 2):
            held = size + 4, (_EAX,)
            put = (b"" if size == 4 else _WORD_PREFIX) + b"\x89\x44\x24\x04"
            yield Sequence(Action.PUSH, (
                Step(_move_esp(-size)), Step(_push(_EAX), size), Step(bytes([0x8C, 0xC0 | segment << 3]), *held),
                Step(_map(b"\x0f\xb7", _EAX, _EAX, layout.REVMAP_OFFSET), *held), Step(put, *held),
                Step(_pop(_EAX), *held)), 0, segment, size)
            held = 4, (_EAX,)
            yield Sequence(Action.POP, (
                Step(_push(_EAX)), Step(b"\x0f\xb7\x44\x24\x04", *held),
                Step(_map(b"\x8e", segment, _EAX, layout.SELMAP_OFFSET), *held), Step(_pop(_EAX), *held),
                Step(_move_esp(size))), 0, segment, size)
    for name in ("cs", "ss"):
        for size in (4, 2):
            push = _absolute(b"\xff", 6, _shared(name), size == 2)
            yield Sequence(Action.PUSH, (Step(push),), 0, SEGMENTS[name], size)


def _far_gate(name: str) -> tuple[Step, ...]:
    landing = layout.LANDING + layout.LANDING_STUB_SIZE * by_name[name].number
    jump = b"\xea" + landing.to_bytes(4, "little") + layout.HOST_CS64.to_bytes(2, "little")
    return Step(b"\xeb\x07"), Step(jump, 4), Step(b"\xe8\xf4\xff\xff\xff")


def _far_gates() -> Iterator[Sequence]:
    steps = _far_gate("int")
    # into: over it all where OF is clear. It stands first, for it ends as int does.
    yield Sequence(Action.INT, (Step(b"\x71" + bytes([sum(len(step.code) for step in steps) + 4])), *steps))
    yield Sequence(Action.INT, steps)
    yield Sequence(Action.SYSENTER, _far_gate("sysenter"))


def interrupt(vector: int) -> bytes:
    """A software interrupt, whole: the sequence, the vector, and the jump by which a kernel restarts a system call."""
    gate = b"".join(step.code for step in _far_gate("int")) + push(vector)
    return gate + b"\xeb" + (-len(gate) - 2 & 0xFF).to_bytes(1, "little")


def push(value: int) -> bytes:
    """`push $value`: what carries an immediate behind a gate."""
    if value < 0x80:
        return bytes([0x6A, value])
    return b"\x68" + value.to_bytes(4, "little")


SEQUENCES: tuple[Sequence, ...] = (*_flags(), *_moves(), *_stack(), *_far_gates())


COVERED_GATE = gate("covered")
# What coverage puts a gate over. The others are gates already.
COUNTED = frozenset(Action) - {Action.INT, Action.SYSENTER}

# By the distance of the first pointer into the hole: {bytes: number}, and their lengths, the longest first.
_HOLE_POINTER = re.compile(rb"..[\xf0-\xff]\xfe", re.DOTALL)
_by_pointer: dict[int, dict[bytes, int]] = {}
for _number, _sequence in enumerate(SEQUENCES):
    _pointer = _HOLE_POINTER.search(_sequence.code)
    assert _pointer, "every sequence reaches the hole"
    _by_pointer.setdefault(_pointer.start(), {})[_sequence.code] = _number
_lengths = sorted(
    {(len(code), distance) for distance, codes in _by_pointer.items() for code in codes}, reverse=True
)


def find_all(code: bytes) -> Iterator[tuple[int, int]]:
    """(offset, number in SEQUENCES) of each sequence in `code`, by rising offset; none is part of another's."""
    end = 0
    for match in _HOLE_POINTER.finditer(code):
        for length, distance in _lengths:
            start = match.start() - distance
            number = _by_pointer[distance].get(code[start : start + length]) if start >= end else None
            if number is not None:
                end = start + length
                yield start, number
                break


def covered(number: int) -> bytes:
    """What coverage puts over the beginning of sequence `number`."""
    return COVERED_GATE if len(SEQUENCES[number].code) >= len(COVERED_GATE) else HLT


def c_table() -> str:
    """The initialisers of the monitor's table, as the body of a macro."""
    lines = []
    for one in SEQUENCES:
        steps = ", ".join(f"{{{len(step.code)}, {step.below}, {_registers(step.saved)}, {int(step.done)}}}"
                          for step in one.steps)
        code = ", ".join(f"{byte:#04x}" for byte in one.code)
        lines.append(f"\t{{ SEQUENCE_{one.action.name}, {one.reg}, {one.segment}, {one.size}, {len(one.steps)}, "
                     f"{len(one.code)}, {{ {steps} }}, {{ {code} }} }}, \\")
    return "\n".join(lines)


def _registers(saved: tuple[int, ...]) -> str:
    """Two registers in one byte, 0xf for none; the topmost in the low half."""
    first, second = (*saved, 0xF, 0xF)[:2]
    return f"{first | second << 4:#04x}"
