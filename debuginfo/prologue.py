"""Where a function keeps what it returns to, by its instructions: for code without call-frame information.

What debuggers do: from the function's beginning to the address in question, follow what moves the stack pointer. A
function that has put the stack pointer into EBP is left at once to that: from there on the frame pointer tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import capstone
from capstone import x86

_WORD = 4
_SIMPLE = frozenset({x86.X86_INS_CALL, x86.X86_INS_CMP, x86.X86_INS_TEST, x86.X86_INS_MOV, x86.X86_INS_LEA,
                     x86.X86_INS_XOR, x86.X86_INS_NOP, x86.X86_INS_ENDBR32})  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The return address lies `offset` bytes above EBP (`by_frame`) or ESP. `saved_ebp`: how far above that register
    the caller's EBP lies; None where EBP is still the caller's."""

    by_frame: bool
    offset: int
    saved_ebp: int | None


def analyse(code: bytes, start: int, address: int) -> Place | None:
    """Where the return address lies when `address` is about to run, in the function at `start` whose bytes are `code`.

    None where the instructions on the way do not tell.
    """
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    engine.detail = True
    depth, saved = 0, None  # bytes pushed; how deep EBP lies
    for insn in engine.disasm(code[: address - start + 1], start):
        if insn.address >= address:
            break
        first = insn.operands[0] if insn.operands else None
        register = first.reg if first is not None and first.type == x86.X86_OP_REG else 0
        if insn.id == x86.X86_INS_PUSH:
            depth += _WORD
            if register == x86.X86_REG_EBP and saved is None:
                saved = depth
        elif insn.id == x86.X86_INS_MOV and register == x86.X86_REG_EBP and insn.operands[1].type == x86.X86_OP_REG \
                and insn.operands[1].reg == x86.X86_REG_ESP and saved is not None:  # fmt: skip
            return _by_frame(code, start, address, depth - saved)
        elif register == x86.X86_REG_ESP and insn.id in (x86.X86_INS_SUB, x86.X86_INS_ADD):
            if insn.operands[1].type != x86.X86_OP_IMM:
                return None
            moved = int(insn.operands[1].imm)
            depth += moved if insn.id == x86.X86_INS_SUB else -moved
        elif insn.id == x86.X86_INS_POP:
            depth -= _WORD
        elif register in (x86.X86_REG_ESP, x86.X86_REG_EBP) or insn.id not in _SIMPLE:
            return None  # a branch, or something that this does not follow
    return Place(False, depth, depth - saved if saved is not None else None)


def _by_frame(code: bytes, start: int, address: int, below: int) -> Place:
    """The frame pointer is set up; but at the function's end it has been taken down again."""
    at = code[address - start : address - start + 1]
    before = code[max(address - start - 1, 0) : address - start]
    if at in (b"\xc3", b"\xc2") and before in (b"\x5d", b"\xc9"):  # pop ebp or leave, then ret
        return Place(False, 0, None)
    return Place(True, below + _WORD, below)
