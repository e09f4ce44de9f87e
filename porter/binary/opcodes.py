"""What the opcode bytes of an i386 instruction tell without decoding it in full.

Code discovery looks at millions of instructions; these tables (SDM volume 2, appendix A) pick the few
that change the flow or may be sensitive. Lengths come from capstone, and so does the final word on
what a candidate is (`porter.binary.sensitive`).
"""

from __future__ import annotations

from enum import IntEnum

PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
OPERAND_SIZE = 0x66


class Action(IntEnum):
    """What an opcode asks of code discovery; PLAIN is 0 so that the usual case is one test."""

    PLAIN = 0
    PREFIX = 1
    TWO_BYTE = 2
    BRANCH8 = 3  # jcc, loop, jecxz: falls through or goes to a relative target of 8 bits
    BRANCH32 = 4
    JUMP8 = 5
    JUMP32 = 6
    CALL = 7
    RETURN = 8  # near: ends the run
    FAR_JUMP = 9
    FAR_CALL = 10
    FAR_RETURN = 11
    INTERRUPT = 12
    CANDIDATE = 13
    CONSTANT = 14  # mov $imm32, reg: may be the target of a later jmp *reg
    ADDRESS = 15  # lea
    GROUP5 = 16  # FF: indirect jumps and calls
    HALT = 17
    UNDEFINED = 18  # ends the run


def _table(**rows: tuple[int, ...] | range) -> tuple[Action, ...]:
    out = [Action.PLAIN] * 256
    for name, opcodes in rows.items():
        for opcode in opcodes:
            out[opcode] = Action[name]
    return tuple(out)


ONE_BYTE = _table(
    PREFIX=tuple(PREFIXES),
    TWO_BYTE=(0x0F,),
    BRANCH8=(*range(0x70, 0x80), *range(0xE0, 0xE4)),
    JUMP8=(0xEB,),
    JUMP32=(0xE9,),
    CALL=(0xE8,),
    RETURN=(0xC2, 0xC3),
    FAR_JUMP=(0xEA,),
    FAR_CALL=(0x9A,),
    FAR_RETURN=(0xCA, 0xCB, 0xCF),
    INTERRUPT=(0xCD,),
    CANDIDATE=(
        *(0x06, 0x07, 0x0E, 0x16, 0x17, 0x1E, 0x1F),  # push and pop of segment registers
        *(0x62, 0x63),  # bound, arpl
        *(0x6C, 0x6D, 0x6E, 0x6F),  # ins, outs
        *(0x8C, 0x8E),  # mov of segment registers
        *(0x9C, 0x9D),  # pushf, popf
        *(0xC4, 0xC5),  # les, lds
        *(0xCC, 0xCE, 0xF1),  # int3, into, int1
        *(0xE4, 0xE5, 0xE6, 0xE7, 0xEC, 0xED, 0xEE, 0xEF),  # in, out
        *(0xFA, 0xFB),  # cli, sti
    ),
    CONSTANT=range(0xB8, 0xC0),
    ADDRESS=(0x8D,),
    GROUP5=(0xFF,),
    HALT=(0xF4,),
)

TWO_BYTE = _table(
    BRANCH32=range(0x80, 0x90),
    UNDEFINED=(0x0B, 0xB9, 0xFF),
    CANDIDATE=(
        *(0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x08, 0x09),  # groups 6, 7; lar, lsl, syscall, clts, invd
        *range(0x20, 0x28),  # mov of control and debug registers
        *(0x30, 0x31, 0x32, 0x33, 0x34, 0x37),  # MSRs, counters, sysenter, getsec
        *(0x38, 0x78, 0x79),  # invpcid and its like; vmread, vmwrite
        *(0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA),  # push and pop of fs and gs, cpuid, rsm
        *(0xAE, 0xB2, 0xB4, 0xB5, 0xC7),  # group 15; lss, lfs, lgs; group 9
    ),
    FAR_RETURN=(0x07, 0x35),  # sysret, sysexit
)


def prefix_length(data: bytes, offset: int, size: int) -> int:
    """Bytes of prefixes in front of the opcode of the instruction at `offset` of `size` bytes."""
    end = offset + size - 1
    at = offset
    while at < end and data[at] in PREFIXES:
        at += 1
    return at - offset


RELATIVE8 = frozenset((Action.BRANCH8, Action.JUMP8))
RELATIVE32 = frozenset((Action.BRANCH32, Action.JUMP32, Action.CALL))


def action_of(data: bytes, offset: int, size: int) -> tuple[Action, int]:
    """What the instruction at `offset` of `size` bytes asks of code discovery, and where its opcode begins."""
    at = offset
    action = ONE_BYTE[data[at]]
    if action is Action.PREFIX:
        at += prefix_length(data, offset, size)
        action = ONE_BYTE[data[at]]
    if action is Action.TWO_BYTE and at + 1 < len(data):
        action = TWO_BYTE[data[at + 1]]
    return action, at


def displacement(data: bytes, end: int, action: Action) -> int | None:
    """By how much the branch or call that ends at `end` goes beyond it; None for other instructions."""
    if action in RELATIVE8:
        return int.from_bytes(data[end - 1 : end], "little", signed=True)
    return int.from_bytes(data[end - 4 : end], "little", signed=True) if action in RELATIVE32 else None


_MAY_BE_SENSITIVE = frozenset(
    (
        Action.CANDIDATE,
        Action.FAR_JUMP,
        Action.FAR_CALL,
        Action.FAR_RETURN,
        Action.INTERRUPT,
        Action.GROUP5,
        Action.HALT,
        Action.UNDEFINED,
    )
)


def may_be_sensitive(data: bytes, offset: int, size: int) -> bool:
    """False only for instructions that need not be classified."""
    return action_of(data, offset, size)[0] in _MAY_BE_SENSITIVE
