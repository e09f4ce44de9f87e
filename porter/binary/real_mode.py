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
_PAGE_SIZE = 4096
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
            if other and _is_ring0_code(other.operands[0].imm) and _linked(image, other.operands[1].imm):
                continue  # makes sense as 32-bit code
            load = region.base + match.start()
            symbols = {image.entry or 0, *(s.address for s in image.symbols)}
            near = sorted(start for start in symbols if load - _REACH <= start < load and start in region)
            walks = ((start, _walk(image, start, load, narrow)) for start in near)
            start, reached = next(((start, walk) for start, walk in walks if walk), (load, {load}))
            target = _place(image, jump.operands[1].imm, start)
            found.append(RealModeCode(min(reached), jump.address + jump.size, target))
    return found


def _far_jump(data: bytes, offset: int, base: int, narrow: Cs) -> CsInsn | None:
    code = data[offset : offset + (_BETWEEN + 1) * MAX_INSTRUCTION]
    for insn in narrow.disasm(code, base + offset, _BETWEEN + 1):
        if insn.opcode[0] == _FAR_JUMP:
            return insn
    return None


def _is_ring0_code(selector: int) -> bool:
    return 0 < selector <= _LAST_SELECTOR and selector & 7 == 0


def _linked(image: Image, address: int) -> bool:
    known = image.resolve(address & 0xFFFF_FFFF)
    return known is not None and image.code_at(known) is not None


def _place(image: Image, address: int, start: int) -> int | None:
    """Where the image holds the code that runs at `address`.

    Start-up code of further processors is linked anywhere and copied to the page that the start-up IPI
    names (SDM volume 3, 9.4.4.1), so that its addresses tell only the distance from its `start`.
    """
    known = image.resolve(address & 0xFFFF_FFFF)
    copied = start + address % _PAGE_SIZE
    return known if known is not None else copied if image.code_at(copied) else None


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
            pending.extend(_branch_targets(image, insn, start))
            if insn.id in _ENDS or insn.id == x86.X86_INS_JMP:
                break
            address += insn.size
    return None


def _branch_targets(image: Image, insn: CsInsn, start: int) -> Iterator[int]:
    if insn.id == x86.X86_INS_LJMP and len(insn.operands) == 2:
        selector, offset = (operand.imm for operand in insn.operands)
        target = _place(image, (selector << 4) + offset, start)
        if target is not None:
            yield target
    elif insn.group(x86.X86_GRP_BRANCH_RELATIVE):
        # IP wraps at 64 KiB, and so does capstone's arithmetic: keep the upper half of the link address.
        yield insn.address & ~0xFFFF | insn.operands[0].imm & 0xFFFF
