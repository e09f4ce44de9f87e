"""The catalogue of sensitive i386 instructions: which they are, why, and what replaces them.

The rows are data, in ``catalogue_rows``; this module is their model and the look-up. A row is found by
*decoded* mnemonic and operand kinds, so one row covers all spellings of an operation: size suffixes,
upper case, prefixes and implied operands are resolved before the look-up.

Source of facts: Intel SDM volume 2 (instruction reference), volume 3A section 5.9 (privileged
instructions) and 2.8; "ring 3 today" was measured on Linux in compatibility mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What an operand is, as far as the catalogue must tell operands apart."""

    ACC = "acc"  # al, ax, eax
    DX = "dx"  # dx, or (%dx) in a port instruction
    REG = "reg"  # any other general register
    SREG = "sreg"  # cs ds es fs gs ss
    CR = "cr"  # cr0, cr2, cr3, cr4: i386 has no other (a mov of those is #UD everywhere)
    CR8 = "cr8"  # the task priority, in 64-bit mode
    DR = "dr"
    IMM = "imm"
    MEM = "mem"
    IND = "ind"  # *operand of an indirect jump or call
    OPEN = "open"  # known only later: a C asm operand (%0) or a macro argument


class Slot(StrEnum):
    """What a form accepts in one operand position."""

    ACC = "acc"
    PORT = "port"
    RM = "rm"
    REG = "reg"
    MEM = "mem"
    IND = "ind"
    IMM = "imm"
    SREG = "sreg"
    CR = "cr"
    CR8 = "cr8"
    DR = "dr"


_GENERAL = frozenset({Kind.ACC, Kind.DX, Kind.REG, Kind.OPEN})
ACCEPTS: dict[Slot, frozenset[Kind]] = {
    Slot.ACC: frozenset({Kind.ACC, Kind.OPEN}),
    Slot.PORT: frozenset({Kind.DX, Kind.IMM, Kind.OPEN}),
    Slot.RM: _GENERAL | {Kind.MEM},
    Slot.REG: _GENERAL,
    Slot.MEM: frozenset({Kind.MEM, Kind.OPEN}),
    Slot.IND: frozenset({Kind.IND}),
    Slot.IMM: frozenset({Kind.IMM, Kind.OPEN}),
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
    ``{0}`` stands for the name of register operand 0, ``{size}`` for the b, w or l of the operation. `word` is
    the macro of the 16-bit operand size. `args` gives the macro's arguments as operand positions in
    macro order; the position ``IMPLIED_ACC`` is the accumulator that the suffix implies.
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


class Spelling(NamedTuple):
    """A mnemonic as written, decoded: the rows that it may mean, and its size suffix or ''."""

    rows: tuple[Row, ...]
    suffix: str


class Match(NamedTuple):
    """A row and the form of it that a statement's operands fit; `form` is None where nothing replaces it."""

    row: Row
    form: Form | None


from porter.catalogue_rows import ROWS  # noqa: E402  (the rows need the model above)

BY_KEY: dict[str, Row] = {row.key: row for row in ROWS}


def _spellings() -> dict[str, Spelling]:
    table: dict[str, Spelling] = {}
    for row in ROWS:
        for mnemonic in row.mnemonics:
            for suffix in ("", *row.suffixes):
                known = table.get(mnemonic + suffix)
                table[mnemonic + suffix] = Spelling((*(known.rows if known else ()), row), suffix)
    return table


SPELLINGS: dict[str, Spelling] = _spellings()


def find(mnemonic: str, kinds: Sequence[Kind]) -> Match | None:
    """Find what `mnemonic` (any case, AT&T suffix allowed) with operands of `kinds` (AT&T order) means.

    None: not a sensitive instruction.
    """
    spelling = SPELLINGS.get(mnemonic.lower())
    if spelling is None:
        return None
    for row in spelling.rows:
        for form in row.forms:
            if len(form.slots) == len(kinds) and all(
                kind in ACCEPTS[slot] for slot, kind in zip(form.slots, kinds, strict=True)
            ):
                return Match(row, form if row.treatment is Treatment.PORT else None)
        if row.treatment is not Treatment.PORT and not row.forms:
            return Match(row, None)
    return None
