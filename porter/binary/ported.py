"""Recognise what the porter put in place of sensitive instructions.

The contract (``hypercalls``) has two kinds of replacement. A *gate* calls through the pointer table in the
hole, or far-jumps to a landing stub. An *inline* form keeps one native instruction (PUSHF, POPF, a
segment move) and corrects what it shows or takes by a table in the hole; the access to that table is
what tells it from the unported instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from capstone import CsInsn, x86

from hypercalls import by_name, by_number, layout
from hypercalls.sequences import SEQUENCES, find_all, interrupt, push
from hypercalls.structs import SHARED
from porter.binary.code import CodeMap
from porter.binary.sensitive import SEGMENTS

GATE_SEGMENT = 0x2E  # the CS override that tells a gate from other calls through memory
_WINDOW = 8  # instructions between an inline form's native instruction and its table access

_GATES = layout.HOLE + layout.GATES_OFFSET
_FLAGS_OUT = layout.HOLE + layout.FLAGS_OUT_OFFSET
_FLAGS_IN = layout.HOLE + layout.FLAGS_IN_OFFSET
_SELMAP = layout.HOLE + layout.SELMAP_OFFSET
_REVMAP = layout.HOLE + layout.REVMAP_OFFSET
_SHARED_PAGE = layout.HOLE + layout.SHARED_OFFSET
_SHARED = {_SHARED_PAGE + SHARED.offset(field.name): field.name for field in SHARED.fields}

_HOLE_POINTER = re.compile(rb"[\xf0-\xff]\xfe", re.DOTALL)  # high half of an address in the hole
assert layout.HOLE >> 20 == 0xFEF and layout.HOLE_SIZE == 1 << 20, "the pattern above is for another hole"

_FLAG_SAVES = (x86.X86_INS_PUSHF, x86.X86_INS_PUSHFD)
_FLAG_LOADS = (x86.X86_INS_POPF, x86.X86_INS_POPFD)
# Hypercalls that do not come back to the instruction behind their gate.
ENDING_GATES = frozenset(
    by_name[name].number
    for name in (
        "iret",
        "iret16",
        "ljmp",
        "ljmp_mem",
        "lret",
        "lret16",
        "lret_n",
        "sysexit",
        "sysret",
    )
)
FAR_GATES = frozenset((by_name["ljmp"].number, by_name["lcall"].number))  # $offset, $selector follow in pushes

_INTERRUPTS = [(whole, whole[: whole.index(push(vector))]) for vector in (0, 0x80) for whole in [interrupt(vector)]]
_PART_OF_ANOTHER = "deliver_pending"  # the slow half of sti and popf, which are counted themselves


def displacement(insn: CsInsn) -> int | None:
    """Displacement of the memory operand, unsigned 32 bits; None without a memory operand."""
    for operand in insn.operands:
        if operand.type == x86.X86_OP_MEM:
            return int(operand.mem.disp) & 0xFFFF_FFFF
    return None


def gate_of_pointer(address: int) -> int | None:
    """Number of the hypercall whose gate calls through the pointer at `address`; None for other addresses."""
    number, rest = divmod(address - _GATES, 4)
    return number if rest == 0 and 0 <= number < layout.LANDING_COUNT else None


def gate_number(insn: CsInsn) -> int | None:
    """Hypercall number of a gate (call through the table, or far jump to a landing stub)."""
    if insn.id == x86.X86_INS_LJMP and len(insn.operands) == 2:
        selector, target = (int(operand.imm) & 0xFFFF_FFFF for operand in insn.operands)
        number, rest = divmod(target - layout.LANDING, layout.LANDING_STUB_SIZE)
        if selector == layout.HOST_CS64 and rest == 0 and 0 <= number < layout.LANDING_COUNT:
            return number
    elif insn.id == x86.X86_INS_CALL and insn.prefix[1] == GATE_SEGMENT:
        return gate_of_pointer(displacement(insn) or 0)
    return None


def is_restart(data: bytes, jump: int) -> bool:
    """Whether the short jump at offset `jump` is the end of a software interrupt (``sequences.interrupt``)."""
    return any(jump + 2 >= len(whole) and data[jump + 2 - len(whole) : jump + 2][: len(start)] == start
               and data[jump : jump + 2] == whole[-2:] for whole, start in _INTERRUPTS)  # fmt: skip


def is_ported(code: CodeMap, offset: int, insn: CsInsn) -> bool:
    """True if a sensitive instruction at `offset` is the native part of a replacement."""
    if gate_number(insn) is not None:
        return True
    if insn.id == x86.X86_INS_MOV:
        return _is_ported_move(code, offset, insn)
    if insn.id in _FLAG_SAVES:
        return _is_ported_save(code, offset)
    return insn.id in _FLAG_LOADS and _is_ported_load(code, offset)


def _is_ported_move(code: CodeMap, offset: int, insn: CsInsn) -> bool:
    target, source = insn.operands
    if target.type == x86.X86_OP_REG and target.reg in SEGMENTS:
        return displacement(insn) == _SELMAP
    if source.type != x86.X86_OP_REG or source.reg not in SEGMENTS or target.type != x86.X86_OP_REG:
        return False
    after = code.instruction(offset + insn.size)
    return (
        after is not None
        and displacement(after) == _REVMAP
        and after.operands[0].reg == target.reg == after.operands[1].mem.index
    )


def _is_ported_save(code: CodeMap, offset: int) -> bool:
    at = offset + code.length[offset]
    for _ in range(_WINDOW):
        insn = code.instruction(at)
        if insn is None or insn.id in _FLAG_SAVES:
            return False
        if displacement(insn) == _FLAGS_OUT:
            return True
        at += insn.size
    return False


def _is_ported_load(code: CodeMap, offset: int) -> bool:
    """Two POPFs end the form, one behind the other with a jump between: with and without delivery."""
    before = code.previous(offset)
    jump = code.instruction(before) if before is not None else None
    if jump is not None and jump.id == x86.X86_INS_JMP and before is not None:
        first = code.previous(before)
        insn = code.instruction(first) if first is not None else None
        after = code.instruction(offset + code.length[offset])
        if insn is None or insn.id not in _FLAG_LOADS or after is None or first is None:
            return False
        return gate_number(after) == by_name[_PART_OF_ANOTHER].number and _is_ported_load(code, first)
    for _ in range(_WINDOW):
        insn = code.instruction(before) if before is not None else None
        if insn is None or insn.id in _FLAG_LOADS:
            return False
        if displacement(insn) == _FLAGS_IN:
            return True
        before = code.previous(insn.address - code.region.base)
    return False


class Replacement(NamedTuple):
    """What stands for one sensitive instruction: from `offset` on, `sequence` of the contract, or a gate, or (both
    None) an inline form that the contract does not have in this shape."""

    offset: int
    name: str
    gate: int | None = None
    sequence: int | None = None


def replacements(code: CodeMap) -> Iterator[Replacement]:
    """Replacements in reached code, by rising offset."""
    done: set[int] = set()
    starts: dict[int, int] = {}
    inside: dict[int, int] = {}  # offset of an instruction of a sequence -> where that begins
    for first, number in find_all(code.data):
        starts[first] = number
        at = first
        for step in SEQUENCES[number].steps:
            inside[at] = first
            at += len(step.code)
    for match in _HOLE_POINTER.finditer(code.data):
        start = code.covering(match.start())
        if start is None or start in done:
            continue
        done.add(start)
        insn = code.instruction(start)
        name = _name(code, start, insn) if insn else None
        if not insn or not name:
            continue
        gate, begin = gate_number(insn), inside.get(start)
        if gate is not None or begin is None:
            yield Replacement(start if begin is None else begin, name, gate)
        else:
            yield Replacement(begin, name, None, starts[begin])


def _name(code: CodeMap, offset: int, insn: CsInsn) -> str | None:
    """The replacement that an instruction stands for; None for the further accesses of one."""
    number = gate_number(insn)
    if number is not None:
        name = by_number[number].name if number in by_number else f"hypercall {number}"
        return None if name == _PART_OF_ANOTHER else name
    address = displacement(insn)
    if address in (_FLAGS_OUT, _FLAGS_IN):
        return "pushf" if address == _FLAGS_OUT else "popf"
    if address == _SELMAP:
        return f"load_{insn.reg_name(insn.operands[0].reg)}"
    if address == _REVMAP:
        before = code.previous(offset)
        read = code.instruction(before) if before is not None else None
        return f"store_{read.reg_name(read.operands[1].reg)}" if read and len(read.operands) == 2 else None
    field = _SHARED.get(address) if address is not None else None
    if field == "upcall_mask" and insn.operands[1].type == x86.X86_OP_IMM:
        return "cli" if insn.operands[1].imm else "sti"
    if field in ("cr0", "cr2", "cr3", "cr4"):
        return f"read_{field}"
    return f"store_{field}" if field in ("cs", "ss") else None
