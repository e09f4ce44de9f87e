"""What stands for one sensitive instruction in a trampoline: the bytes that the contract's macros make.

An instruction that has no replacement here is made to trap: the monitor then does it, whatever its form.
Encodings by the Intel SDM, volume 2.
"""

from __future__ import annotations

from capstone import CsInsn, x86

from hypercalls.sequences import GENERAL, SEGMENTS, SEQUENCES, Action, gate, interrupt, push
from hypercalls.table import by_name
from porter.binary.opcodes import prefix_length
from porter.binary.sensitive import is_far

_PREFIX_WORD, _PREFIX_ADDRESS, _PREFIX_DS = 0x66, 0x67, 0x3E
_SEGMENT_PREFIXES = frozenset((0x26, 0x2E, 0x36, _PREFIX_DS, 0x64, 0x65))
_REP, _REPNE, _LOCK = 0xF3, 0xF2, 0xF0
_NOP2, _NOP3 = b"\x66\x90", b"\x0f\x1f\x00"

# Where several have the same operands (`into` is `int` behind a jump), the shortest.
_SEQUENCES = {(one.action, one.reg, one.segment, one.size): one.code
              for one in sorted(SEQUENCES, key=lambda one: -len(one.code))}  # fmt: skip
_BY_SEGMENT = {value: name for name, value in SEGMENTS.items()}
_ESP = 4

# Instructions whose operands are fixed, by what a gate of theirs is called.
_PLAIN = {
    x86.X86_INS_HLT: "halt", x86.X86_INS_CLTS: "clts", x86.X86_INS_CPUID: "cpuid", x86.X86_INS_RDMSR: "rdmsr",
    x86.X86_INS_WRMSR: "wrmsr", x86.X86_INS_RDPMC: "rdpmc", x86.X86_INS_IRETD: "iret", x86.X86_INS_IRET: "iret16",
    x86.X86_INS_SYSEXIT: "sysexit", x86.X86_INS_SYSRET: "sysret",
}  # fmt: skip
# Those with one operand, which a NOP carries, and those with a register besides.
_CARRIED = {
    x86.X86_INS_LGDT: "lgdt", x86.X86_INS_LIDT: "lidt", x86.X86_INS_SGDT: "sgdt", x86.X86_INS_SIDT: "sidt",
    x86.X86_INS_LLDT: "lldt", x86.X86_INS_LTR: "ltr", x86.X86_INS_SLDT: "sldt", x86.X86_INS_STR: "str",
    x86.X86_INS_LMSW: "lmsw", x86.X86_INS_SMSW: "smsw", x86.X86_INS_VERR: "verr", x86.X86_INS_VERW: "verw",
    x86.X86_INS_INVLPG: "invlpg",
}  # fmt: skip
_CARRIED2 = {
    x86.X86_INS_LAR: "lar", x86.X86_INS_LSL: "lsl", x86.X86_INS_ARPL: "arpl", x86.X86_INS_LDS: "lds",
    x86.X86_INS_LES: "les", x86.X86_INS_LSS: "lss", x86.X86_INS_LFS: "lfs", x86.X86_INS_LGS: "lgs",
}  # fmt: skip
_WORD_OPERAND = frozenset(
    (x86.X86_INS_LLDT, x86.X86_INS_LTR, x86.X86_INS_LMSW, x86.X86_INS_VERR, x86.X86_INS_VERW, x86.X86_INS_ARPL)
)  # of 16 bits without a prefix that says so
_STRINGS = {
    x86.X86_INS_INSB: ("ins", 8), x86.X86_INS_INSW: ("ins", 16), x86.X86_INS_INSD: ("ins", 32),
    x86.X86_INS_OUTSB: ("outs", 8), x86.X86_INS_OUTSW: ("outs", 16), x86.X86_INS_OUTSD: ("outs", 32),
}  # fmt: skip
_PORT_WIDTH = {x86.X86_REG_AL: 8, x86.X86_REG_AX: 16, x86.X86_REG_EAX: 32}
# In place: as long as they are, and they do as little in a virtual CPU that has neither a cache to keep nor SMAP.
IN_PLACE = {x86.X86_INS_WBINVD: _NOP2, x86.X86_INS_INVD: _NOP2, x86.X86_INS_CLAC: _NOP3, x86.X86_INS_STAC: _NOP3}
NO_RETURN = frozenset(
    (x86.X86_INS_IRETD, x86.X86_INS_IRET, x86.X86_INS_SYSEXIT, x86.X86_INS_SYSRET, x86.X86_INS_RETF, x86.X86_INS_LJMP)
)  # nothing of the trampoline runs behind them


def loads_stack_segment(insn: CsInsn) -> bool:
    """Whether neither interrupt nor debug trap comes between this instruction and the next one (SDM vol. 3, 6.8.3)."""
    loads = insn.id in (x86.X86_INS_MOV, x86.X86_INS_POP)
    target = insn.operands[0] if loads else None
    return target is not None and target.type == x86.X86_OP_REG and target.reg == x86.X86_REG_SS


def safe_halt() -> bytes:
    """What stands for `sti` and `hlt` right behind it."""
    return gate("safe_halt")


def replacement(insn: CsInsn) -> bytes | None:
    """The bytes that do what the decoded sensitive instruction `insn` (with details) does; None: none do.

    They run at any address, and leave flags, registers and stack as the instruction does.
    """
    prefixes = _prefixes(insn)
    if prefixes & {_PREFIX_ADDRESS, _LOCK}:
        return None
    word = _PREFIX_WORD in prefixes
    if insn.id in _STRINGS:
        return _string(insn, prefixes)
    if prefixes & {_REP, _REPNE}:
        return None
    found = _flags(insn, word)
    if found is not None:
        return found
    if insn.id in _PLAIN:
        return gate(_PLAIN[insn.id]) if not word or insn.id == x86.X86_INS_IRET else None
    if insn.id in (x86.X86_INS_IN, x86.X86_INS_OUT):
        return _port(insn)
    if insn.id == x86.X86_INS_MOV:
        return _move(insn, word)
    if insn.id in (x86.X86_INS_PUSH, x86.X86_INS_POP):
        return _stack(insn, word)
    return _other(insn, word)


def _prefixes(insn: CsInsn) -> frozenset[int]:
    code = bytes(insn.bytes)
    return frozenset(code[: prefix_length(code, 0, len(code))])


def _sequence(action: Action, reg: int = 0, segment: int = 0, size: int = 4) -> bytes | None:
    return _SEQUENCES.get((action, reg, segment, size))


def _flags(insn: CsInsn, word: bool) -> bytes | None:
    if insn.id == x86.X86_INS_CLI:
        return _sequence(Action.CLI)
    if insn.id == x86.X86_INS_STI:
        return _sequence(Action.STI)
    if insn.id in (x86.X86_INS_PUSHF, x86.X86_INS_PUSHFD):
        return gate("pushf16") if word else _sequence(Action.PUSHF)
    if insn.id in (x86.X86_INS_POPF, x86.X86_INS_POPFD):
        return gate("popf16") if word else _sequence(Action.POPF)
    return None


def _port(insn: CsInsn) -> bytes | None:
    reading = insn.id == x86.X86_INS_IN
    register, port = insn.operands if reading else reversed(insn.operands)
    name = f"{'in' if reading else 'out'}{_PORT_WIDTH[register.reg]}"
    if port.type == x86.X86_OP_REG:
        return gate(name)
    return gate(f"{name}_imm") + push(port.imm & 0xFF)


def _string(insn: CsInsn, prefixes: frozenset[int]) -> bytes | None:
    name, width = _STRINGS[insn.id]
    if _REPNE in prefixes:
        return None
    code = gate(f"{'rep_' if _REP in prefixes else ''}{name}{width}")
    if name == "outs":  # its source is DS:ESI unless a prefix says otherwise
        code += bytes(prefixes & _SEGMENT_PREFIXES - {_PREFIX_DS}) + b"\x0f\x1f\x06"
    return code


def _register(number: int, word: bool = False) -> bytes:
    """A NOP that carries a register."""
    return (b"\x66" if word else b"") + bytes([0x0F, 0x1F, 0xC0 | number])


def carrier(insn: CsInsn, word: bool = False) -> bytes:
    """A NOP that carries the operand of `insn`'s ModRM byte, as it stands there. `word`: of a register, 16 bits."""
    segment = bytes(_prefixes(insn) & _SEGMENT_PREFIXES)
    if insn.modrm >> 6 == 3:
        return _register(insn.modrm & 7, word)
    tail = bytes(insn.bytes[insn.modrm_offset + 1 :])
    return segment + b"\x0f\x1f" + bytes([insn.modrm & 0xC7]) + tail


def _move(insn: CsInsn, word: bool) -> bytes | None:
    opcode, reg_field, rm = bytes(insn.opcode)[:2], insn.modrm >> 3 & 7, insn.modrm & 7
    if opcode[0] == 0x0F:
        if opcode[1] == 0x20 and reg_field in (0, 2, 3, 4):
            return _sequence(Action.READ_CR, rm, reg_field)
        if opcode[1] == 0x22 and reg_field in (0, 2, 3, 4):
            return gate(f"write_cr{reg_field}") + _register(rm)
        if opcode[1] in (0x21, 0x23):
            return gate(f"{'read' if opcode[1] == 0x21 else 'write'}_dr{reg_field}") + _register(rm)
        return None
    name, memory = _BY_SEGMENT.get(reg_field), insn.modrm >> 6 != 3
    if name is None:
        return None
    inline = not memory and rm in GENERAL.values()
    if opcode[0] == 0x8E:
        if name == "cs":
            return None
        found = _sequence(Action.LOAD, rm, reg_field) if inline and name != "ss" else None
        return found or gate(f"load_{name}") + carrier(insn)
    found = _sequence(Action.STORE, rm, reg_field, 2 if word else 4) if inline else None
    return found or gate(f"store_{name}") + carrier(insn, word)


def _stack(insn: CsInsn, word: bool) -> bytes | None:
    segment, size = SEGMENTS[insn.reg_name(insn.operands[0].reg)], 2 if word else 4
    if insn.id == x86.X86_INS_PUSH:
        return _sequence(Action.PUSH, 0, segment, size)
    if _BY_SEGMENT[segment] == "ss":
        return gate("popw_ss" if word else "pop_ss")
    return _sequence(Action.POP, 0, segment, size)


def _other(insn: CsInsn, word: bool) -> bytes | None:
    if insn.id in _CARRIED:
        if word and insn.modrm >> 6 != 3:
            return None  # a base of 24 bits
        return gate(_CARRIED[insn.id]) + carrier(insn, word or insn.id in _WORD_OPERAND)
    if insn.id in _CARRIED2:
        word = word or insn.id in _WORD_OPERAND
        return gate(_CARRIED2[insn.id]) + carrier(insn, word) + _register(insn.modrm >> 3 & 7, word)
    if insn.id == x86.X86_INS_INT:
        return interrupt(insn.operands[0].imm & 0xFF)
    if insn.id == x86.X86_INS_RETF and not word:
        return gate("lret_n") + push(insn.operands[0].imm & 0xFFFF) if insn.operands else gate("lret")
    name = "ljmp" if insn.id == x86.X86_INS_LJMP else "lcall"
    if insn.id in (x86.X86_INS_LJMP, x86.X86_INS_LCALL) and not word and len(insn.operands) == 2:
        selector, offset = (operand.imm & 0xFFFF_FFFF for operand in insn.operands)
        return gate(name) + push(offset) + push(selector & 0xFFFF)
    if is_far(insn) and not word:
        return gate("lcall_mem" if insn.modrm >> 3 & 7 == 3 else "ljmp_mem") + carrier(insn)
    return None


assert all(name in by_name for table in (_PLAIN, _CARRIED, _CARRIED2) for name in table.values())
