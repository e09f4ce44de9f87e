"""Which i386 instructions are sensitive, told from their bytes alone.

An oracle that shares nothing with the porter: neither its catalogue nor capstone. Source of facts: Intel SDM
volume 2, appendix A, and the instruction pages; AMD APM volume 3, appendix A, for what only AMD has.

Left out on purpose, as they are in the catalogue: what any process may do and what tells nothing about the host
that matters (rdtsc, rdpru, clzero, monitorx, mwaitx, the user half of CET, SGX and protection keys), and ud2.
"""

from __future__ import annotations

PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
_NO_SYSTEM = "vmx-svm"  # extensions that the guest's processor does not have: any may be the row
_EXTENSION = "system-extensions"

_ONE_BYTE = {
    **dict.fromkeys((0x06, 0x0E, 0x16, 0x1E), "push-sreg"),
    **dict.fromkeys((0x07, 0x17, 0x1F), "pop-sreg"),
    0x63: "arpl", 0x6C: "ins", 0x6D: "ins", 0x6E: "outs", 0x6F: "outs", 0x8C: "mov-from-sreg", 0x8E: "mov-to-sreg",
    0x9A: "lcall", 0x9C: "pushf", 0x9D: "popf", 0xCA: "lret", 0xCB: "lret", 0xCC: "int3", 0xCD: "int", 0xCE: "into",
    0xCF: "iret", 0xE4: "in", 0xE5: "in", 0xE6: "out", 0xE7: "out", 0xEA: "ljmp", 0xEC: "in", 0xED: "in", 0xEE: "out",
    0xEF: "out", 0xF1: "int1", 0xF4: "hlt", 0xFA: "cli", 0xFB: "sti",
}
_MEMORY_ONLY = {0x62: "bound", 0xC4: "les", 0xC5: "lds"}  # with a register they are EVEX and VEX prefixes
_TWO_BYTE = {
    0x02: "lar", 0x03: "lsl", 0x05: "syscall", 0x06: "clts", 0x07: "sysret", 0x08: "invd", 0x09: "wbinvd",
    0x20: "mov-from-cr", 0x21: "mov-from-dr", 0x22: "mov-to-cr", 0x23: "mov-to-dr",
    0x30: "wrmsr", 0x32: "rdmsr", 0x33: "rdpmc", 0x34: "sysenter", 0x35: "sysexit", 0x37: _NO_SYSTEM,
    0xA0: "push-sreg", 0xA1: "pop-sreg", 0xA2: "cpuid", 0xA8: "push-sreg", 0xA9: "pop-sreg", 0xAA: "rsm",
    0xB2: "lss", 0xB4: "lfs", 0xB5: "lgs",
}
_GROUP6 = ("sldt", "str", "lldt", "ltr", "verr", "verw", None, None)
_GROUP7_MEMORY = ("sgdt", "sidt", "lgdt", "lidt", "smsw", None, "lmsw", "invlpg")
# By the whole byte behind 0F 01. What depends on a prefix is below.
_GROUP7_REGISTER = {
    0xC0: _EXTENSION, 0xC1: _NO_SYSTEM, 0xC2: _NO_SYSTEM, 0xC3: _NO_SYSTEM, 0xC4: _NO_SYSTEM, 0xC5: _EXTENSION,
    0xC6: _EXTENSION, 0xC8: "monitor", 0xC9: "mwait", 0xCA: "clac", 0xCB: "stac", 0xCF: _EXTENSION, 0xD0: "xgetbv",
    0xD1: "xsetbv", 0xD4: _NO_SYSTEM, **dict.fromkeys(range(0xD8, 0xE0), _NO_SYSTEM), 0xF9: "rdtscp",
    0xFE: _EXTENSION, 0xFF: _EXTENSION,
}
_GROUP7_PREFIXED = {
    (0x66, 0xCC): _EXTENSION, (0xF3, 0xE8): _EXTENSION, (0xF2, 0xFF): _EXTENSION,
}


def sensitive(code: bytes) -> str | None:
    """The operation that one instruction is, by the key of the catalogue's row or its mnemonic; None: not sensitive.

    `code` holds the whole instruction, as 32-bit code has it.
    """
    at = 0
    while at < len(code) and code[at] in PREFIXES:
        at += 1
    prefixes, code = code[:at], code[at:] + bytes(4)
    opcode, modrm = code[0], code[1]
    if opcode == 0x0F:
        return _two_byte(prefixes, code[1:])
    if opcode in _MEMORY_ONLY:
        return None if modrm >= 0xC0 else _MEMORY_ONLY[opcode]
    if opcode == 0xFF and modrm < 0xC0:
        return {3: "lcall", 5: "ljmp"}.get(modrm >> 3 & 7)
    if opcode in (0x8C, 0x8E) and (modrm >> 3 & 7 > 5 or (opcode == 0x8E and modrm >> 3 & 7 == 1)):
        return None  # no such segment register, and CS cannot be loaded: #UD
    return _ONE_BYTE.get(opcode)


def _two_byte(prefixes: bytes, code: bytes) -> str | None:
    opcode, modrm = code[0], code[1]
    field, register = modrm >> 3 & 7, modrm >= 0xC0
    mandatory = next((prefix for prefix in reversed(prefixes) if prefix in (0xF2, 0xF3)), 0) or (
        0x66 if 0x66 in prefixes else 0)
    if opcode == 0x00:
        return _GROUP6[field]
    if opcode == 0x01:
        if not register:
            return _GROUP7_MEMORY[field]
        if field in (4, 6):
            return _GROUP7_MEMORY[field]
        return _GROUP7_PREFIXED.get((mandatory, modrm)) or _GROUP7_REGISTER.get(modrm)
    if opcode in (0x20, 0x22):
        return _TWO_BYTE[opcode] if field in (0, 2, 3, 4) else None  # of the others, i386 has none: #UD
    if opcode in (0x78, 0x79):
        return None if mandatory else _NO_SYSTEM  # with a prefix, SSE4a
    if opcode == 0xAE:
        return _EXTENSION if field == 6 and not register and mandatory == 0xF3 else None
    if opcode == 0xC7:
        return _group9(field, register, mandatory)
    if opcode == 0x38 and modrm == 0x82 and 0x66 in prefixes:
        return "invpcid"  # with a repeat prefix, it is one or undefined
    if opcode == 0x38:
        return {(0x66, 0x80): _NO_SYSTEM, (0x66, 0x81): _NO_SYSTEM, (0x66, 0xF5): _EXTENSION,
                (0xF3, 0xF8): _EXTENSION}.get((mandatory, modrm))
    if opcode == 0x3A:
        return _EXTENSION if mandatory == 0xF3 and modrm == 0xF0 else None
    return _TWO_BYTE.get(opcode)


def _group9(field: int, register: bool, mandatory: int) -> str | None:
    if register:
        return "rdpid" if field == 7 and mandatory == 0xF3 else None
    if field in (3, 5):
        return "xsaves"
    return _NO_SYSTEM if field in (6, 7) else None
