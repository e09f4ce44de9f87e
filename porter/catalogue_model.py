"""The model of the catalogue of sensitive instructions: what a row of ``catalogue_rows`` says."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

SEGMENT_REGISTERS = ("ds", "es", "fs", "gs", "ss", "cs")
CONTROL_REGISTERS = ("cr0", "cr2", "cr3", "cr4")  # i386 has no other: a mov of those is #UD everywhere
DEBUG_REGISTERS = tuple(f"{prefix}{number}" for prefix in ("dr", "db") for number in range(8))  # GAS takes both
ENCODING_SUFFIXES = (".s", ".d8", ".d32")  # behind a mnemonic: which encoding GAS shall choose of several


class Kind(StrEnum):
    """What an operand is, as far as the catalogue must tell operands apart."""

    ACC = "acc"  # al, ax, eax
    DX = "dx"  # dx, or (%dx) in a port instruction
    REG = "reg"  # any other general register
    SREG = "sreg"  # cs ds es fs gs ss
    CR = "cr"
    CR8 = "cr8"  # the task priority, in 64-bit mode
    DR = "dr"
    IMM = "imm"
    MEM = "mem"
    IND = "ind"  # *operand of an indirect jump or call
    FAR = "far"  # memory that Intel syntax calls a far pointer: fword ptr, far ptr
    SYMBOL = "symbol"  # a symbol in Intel syntax: memory, or a constant where there can be no memory
    OPEN = "open"  # known only later: a C asm operand (%0) or a macro argument


class Slot(StrEnum):
    """What a form accepts in one operand position."""

    ACC = "acc"
    PORT = "port"
    RM = "rm"
    REG = "reg"
    MEM = "mem"
    IND = "ind"
    FAR = "far"
    IMM = "imm"
    SREG = "sreg"
    CR = "cr"
    CR8 = "cr8"
    DR = "dr"


_GENERAL = frozenset({Kind.ACC, Kind.DX, Kind.REG, Kind.OPEN})
_MEMORY = frozenset({Kind.MEM, Kind.FAR, Kind.SYMBOL, Kind.OPEN})
ACCEPTS: dict[Slot, frozenset[Kind]] = {
    Slot.ACC: frozenset({Kind.ACC, Kind.OPEN}),
    Slot.PORT: frozenset({Kind.DX, Kind.IMM, Kind.SYMBOL, Kind.OPEN}),
    Slot.RM: _GENERAL | _MEMORY,
    Slot.REG: _GENERAL,
    Slot.MEM: _MEMORY,
    Slot.IND: frozenset({Kind.IND}),
    Slot.FAR: frozenset({Kind.FAR}),
    Slot.IMM: frozenset({Kind.IMM, Kind.SYMBOL, Kind.OPEN}),
    Slot.SREG: frozenset({Kind.SREG}),
    Slot.CR: frozenset({Kind.CR}),
    Slot.CR8: frozenset({Kind.CR8}),
    Slot.DR: frozenset({Kind.DR}),
}


class Cost(StrEnum):
    """What the replacement costs the guest each time it runs."""

    INLINE = "inline"  # a few instructions in place, no call
    GATE = "gate"  # a far jump into the monitor and back, some 50 ns
    EXIT = "exit"  # the monitor asks the VMM, some microseconds
    NONE = "none"  # not replaced


class Ring3(StrEnum):
    """What the processor does when the instruction runs unported in ring 3."""

    TRAPS = "traps"  # a fault, so the monitor can still emulate it, slowly
    SILENT = "silently wrong"  # no fault: the guest reads or sets the wrong state
    HOST = "reaches the host"  # enters the host kernel instead of the guest's


class Treatment(StrEnum):
    """What the porter does with an instruction."""

    PORT = "ported"
    NATIVE = "stays"  # left in place on purpose: the hardware's own fault is the right answer
    REFUSE = "refused"  # not i386


SAME = "="  # the operands carry the width: one macro for all operand sizes
NO_MACRO = ""  # this operand size has no macro


class Form(NamedTuple):
    """One operand pattern of a row.

    `slots` are in AT&T order (source first). `macro` names the replacement without its ``r3_``;
    ``{0}`` stands for the name of register operand 0, ``{size}`` for the b, w or l of the operation.
    `word` is the macro of the 16-bit operand size. `args` gives the macro's arguments as operand
    positions in macro order; ``IMPLIED_ACC`` is the accumulator that the suffix implies.
    """

    slots: tuple[Slot, ...]
    macro: str
    args: tuple[int, ...] = ()
    word: str = SAME


IMPLIED_ACC = -1


class Row(NamedTuple):
    """One operation of the catalogue.

    `mnemonics` are without size suffix; `suffixes` are the AT&T size letters that may follow.
    """

    key: str
    group: str
    mnemonics: tuple[str, ...]
    suffixes: str
    forms: tuple[Form, ...]
    cost: Cost
    ring3: Ring3
    why: str
    treatment: Treatment = Treatment.PORT
    string: bool = False  # takes rep, and a source segment
