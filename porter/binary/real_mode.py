"""Recognise 16-bit start-up code: what leads up to a switch into protected mode.

Nothing in an ELF file tells the operand size of code. The switch does: setting CR0.PE is followed by a
far jump (SDM volume 3, 9.9.1), whose pointer names a code segment of the GDT only if it is read with
the right operand size. Other 16-bit code in a file is not known as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from capstone import Cs, CsInsn, x86

from porter.binary.code import MAX_INSTRUCTION, disassembler, real_mode_disassembler
from porter.binary.image import Image

_MOV_TO_CR0 = re.compile(rb"\x0f\x22[\xc0-\xc7]", re.DOTALL)
_REACH = 4096  # bytes before the switch in which its start is looked for
_BETWEEN = 4  # instructions between the CR0 load and the far jump
_LAST_SELECTOR = 0x400
_FAR_JUMP = 0xEA
_ENDS = frozenset((x86.X86_INS_RET, x86.X86_INS_RETF, x86.X86_INS_IRET, x86.X86_INS_IRETD, x86.X86_INS_LJMP))


@dataclass(frozen=True)
class RealModeCode:
    """16-bit code from `start` up to `end`, where it enters 32-bit code at `target` (None: elsewhere)."""

    start: int
    end: int
    target: int | None


def find_real_mode(image: Image) -> list[RealModeCode]:
    """All mode switches of the image, each with the 16-bit code that leads to it."""
    wide, narrow = disassembler(), real_mode_disassembler()
    found = []
    for region in image.code:
        for match in _MOV_TO_CR0.finditer(region.data):
            jump = _far_jump(region.data, match.end(), region.base, narrow)
            if jump is None or not _is_ring0_code(jump.operands[0].imm):
                continue
            other = next(wide.disasm(image.read(jump.address, MAX_INSTRUCTION), jump.address, 1), None)
            if other and _is_ring0_code(other.operands[0].imm) and _target(image, other) is not None:
                continue  # makes sense as 32-bit code
            load = region.base + match.start()
            starts = {image.entry or 0, *(s.address for s in image.symbols)}
            near = sorted(start for start in starts if load - _REACH <= start < load and start in region)
            reached = next((walk for start in near if (walk := _walk(image, start, load, narrow))), {load})
            found.append(RealModeCode(min(reached), jump.address + jump.size, _target(image, jump)))
    return found


def _far_jump(data: bytes, offset: int, base: int, narrow: Cs) -> CsInsn | None:
    code = data[offset : offset + (_BETWEEN + 1) * MAX_INSTRUCTION]
    for insn in narrow.disasm(code, base + offset, _BETWEEN + 1):
        if insn.opcode[0] == _FAR_JUMP:
            return insn
    return None


def _is_ring0_code(selector: int) -> bool:
    return 0 < selector <= _LAST_SELECTOR and selector & 7 == 0


def _target(image: Image, jump: CsInsn) -> int | None:
    return image.resolve(jump.operands[1].imm & 0xFFFF_FFFF)


def _walk(image: Image, start: int, goal: int, narrow: Cs) -> set[int] | None:
    """Addresses of the 16-bit instructions on the way from `start` to `goal`; None if none leads there."""
    pending, seen = [start], set[int]()
    while pending:
        address = pending.pop()
        while address not in seen and goal - _REACH <= address <= goal:
            if address == goal:
                return seen | {goal}
            insn = next(narrow.disasm(image.read(address, MAX_INSTRUCTION), address, 1), None)
            if insn is None:
                break
            seen.add(address)
            pending.extend(_branch_targets(insn))
            if insn.id in _ENDS or insn.id == x86.X86_INS_JMP:
                break
            address += insn.size
    return None


def _branch_targets(insn: CsInsn) -> Iterator[int]:
    groups = (x86.X86_GRP_JUMP, x86.X86_GRP_CALL, x86.X86_GRP_BRANCH_RELATIVE)
    if insn.id not in _ENDS and any(insn.group(group) for group in groups):
        for operand in insn.operands:
            if operand.type == x86.X86_OP_IMM:
                yield operand.imm & 0xFFFF_FFFF
