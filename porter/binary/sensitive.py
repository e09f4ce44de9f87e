"""Which decoded instructions are sensitive, and what an unported one does when guest code runs.

The table is keyed by what capstone decoded (instruction id and operands), never by spelling. Facts: Intel
SDM volume 2 (operation and exceptions at CPL 3) and volume 3, 2.8; Linux's UMIP emulation
(arch/x86/kernel/umip.c) for SGDT, SIDT, SLDT, SMSW and STR.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from capstone import CsInsn, x86


class Effect(StrEnum):
    """What happens at run time to an instruction that was not ported."""

    TRAPS = "traps"
    SILENT = "silent"
    NATIVE = "native"

    @property
    def meaning(self) -> str:
        return _MEANING[self]


_MEANING = {
    Effect.TRAPS: "traps and is emulated, slow",
    Effect.SILENT: "runs silently wrong: must be ported",
    Effect.NATIVE: "needs no porting",
}


@dataclass(frozen=True)
class Kind:
    """One class of sensitive instructions with one behaviour; `remark` is for the user."""

    name: str
    effect: Effect
    remark: str


def _traps(name: str, remark: str) -> Kind:
    return Kind(name, Effect.TRAPS, remark)


def _silent(name: str, remark: str) -> Kind:
    return Kind(name, Effect.SILENT, remark)


def _native(name: str, remark: str) -> Kind:
    return Kind(name, Effect.NATIVE, remark)


_INTERRUPT_FLAG = _traps("interrupt flag", "#GP: the host keeps IF")
_FLAGS = _silent("flags", "IF and IOPL are the host's; no trap")
_HALT = _traps("halt", "#GP")
_WAIT = _traps("halt", "#UD outside ring 0")
_PORT = _traps("port I/O", "#GP: the process has no I/O permission")
_CONTROL = _traps("control register", "#GP")
_CONTROL_READ = _silent("control register", "the host answers a dummy value; no trap")
_DEBUG = _traps("debug register", "#GP")
_TABLE = _traps("descriptor table", "#GP")
_TABLE_READ = _silent("descriptor table", "the host answers a dummy value; no trap")
_QUERY = _silent("descriptor query", "answers from the host's descriptor tables; no trap")
_SEGMENT_LOAD = _silent("segment load", "loads the host's segment of that selector where it has one, else #GP")
_SEGMENT_READ = _silent("segment read", "shows the host's selector; no trap")
_FAR = _silent("far transfer", "goes to the host's segment of that selector where it has one, else #GP")
_INT = _traps("software interrupt", "#GP with the vector in the error code")
_INT_HOST = _silent("software interrupt", "reaches the host kernel")
_INT_NATIVE = _native("software interrupt", "traps natively and is reflected to the guest")
_FAST_CALL = _silent("fast system call", "reaches the host kernel, or #UD")
_FAST_RETURN = _traps("fast system call", "#GP outside ring 0")
_TLB = _traps("TLB", "#GP")
_CACHE = _traps("cache", "#GP")
_MSR = _traps("MSR", "#GP")
_IDENTITY = _silent("identity", "answers for the host's CPU; no trap")
_TIME = _native("time", "runs natively: reads the host's counter")
_TIME_IDENTITY = _silent("identity", "answers the host's counter and CPU number; no trap")
_EXTENDED = _traps("extended state", "#GP")
_EXTENDED_READ = _silent("extended state", "answers the host's XCR0; no trap")
_NOT_OFFERED = _native("extended state", "the virtual CPU does not offer it, so no guest should come here")
_SMAP = _traps("SMAP", "#UD outside ring 0")
_UNDEFINED = _native("undefined", "#UD natively, reflected to the guest")
_VIRTUALISATION = _native("virtualisation", "#UD natively, reflected to the guest")

_BY_ID: dict[int, Kind] = {
    **dict.fromkeys((x86.X86_INS_CLI, x86.X86_INS_STI), _INTERRUPT_FLAG),
    **dict.fromkeys((x86.X86_INS_PUSHF, x86.X86_INS_PUSHFD, x86.X86_INS_POPF, x86.X86_INS_POPFD), _FLAGS),
    x86.X86_INS_HLT: _HALT,
    **dict.fromkeys((x86.X86_INS_MONITOR, x86.X86_INS_MWAIT), _WAIT),
    **dict.fromkeys(
        (
            x86.X86_INS_IN,
            x86.X86_INS_OUT,
            x86.X86_INS_INSB,
            x86.X86_INS_INSW,
            x86.X86_INS_INSD,
            x86.X86_INS_OUTSB,
            x86.X86_INS_OUTSW,
            x86.X86_INS_OUTSD,
        ),
        _PORT,
    ),
    **dict.fromkeys((x86.X86_INS_CLTS, x86.X86_INS_LMSW), _CONTROL),
    x86.X86_INS_SMSW: _CONTROL_READ,
    **dict.fromkeys((x86.X86_INS_LGDT, x86.X86_INS_LIDT, x86.X86_INS_LLDT, x86.X86_INS_LTR), _TABLE),
    **dict.fromkeys((x86.X86_INS_SGDT, x86.X86_INS_SIDT, x86.X86_INS_SLDT, x86.X86_INS_STR), _TABLE_READ),
    **dict.fromkeys((x86.X86_INS_LAR, x86.X86_INS_LSL, x86.X86_INS_VERR, x86.X86_INS_VERW, x86.X86_INS_ARPL), _QUERY),
    **dict.fromkeys(
        (x86.X86_INS_LDS, x86.X86_INS_LES, x86.X86_INS_LSS, x86.X86_INS_LFS, x86.X86_INS_LGS), _SEGMENT_LOAD
    ),
    **dict.fromkeys((x86.X86_INS_LJMP, x86.X86_INS_LCALL, x86.X86_INS_RETF, x86.X86_INS_IRET, x86.X86_INS_IRETD), _FAR),
    **dict.fromkeys((x86.X86_INS_INT1, x86.X86_INS_INT3, x86.X86_INS_INTO, x86.X86_INS_BOUND), _INT_NATIVE),
    **dict.fromkeys((x86.X86_INS_SYSENTER, x86.X86_INS_SYSCALL), _FAST_CALL),
    **dict.fromkeys((x86.X86_INS_SYSEXIT, x86.X86_INS_SYSRET), _FAST_RETURN),
    **dict.fromkeys((x86.X86_INS_INVLPG, x86.X86_INS_INVPCID), _TLB),
    **dict.fromkeys((x86.X86_INS_WBINVD, x86.X86_INS_WBNOINVD, x86.X86_INS_INVD), _CACHE),
    **dict.fromkeys((x86.X86_INS_RDMSR, x86.X86_INS_WRMSR, x86.X86_INS_RDPMC), _MSR),
    x86.X86_INS_CPUID: _IDENTITY,
    x86.X86_INS_RDTSC: _TIME,
    x86.X86_INS_RDTSCP: _TIME_IDENTITY,
    x86.X86_INS_XSETBV: _EXTENDED,
    **dict.fromkeys((x86.X86_INS_XSAVES, x86.X86_INS_XRSTORS, x86.X86_INS_RDPID), _NOT_OFFERED),
    x86.X86_INS_XGETBV: _EXTENDED_READ,
    **dict.fromkeys((x86.X86_INS_STAC, x86.X86_INS_CLAC), _SMAP),
    **dict.fromkeys((x86.X86_INS_UD0, x86.X86_INS_UD1, x86.X86_INS_UD2), _UNDEFINED),
    **dict.fromkeys(
        (
            x86.X86_INS_VMCALL,
            x86.X86_INS_VMMCALL,
            x86.X86_INS_VMLAUNCH,
            x86.X86_INS_VMRESUME,
            x86.X86_INS_VMXOFF,
            x86.X86_INS_VMXON,
            x86.X86_INS_VMPTRLD,
            x86.X86_INS_VMPTRST,
            x86.X86_INS_VMCLEAR,
            x86.X86_INS_VMREAD,
            x86.X86_INS_VMWRITE,
            x86.X86_INS_VMFUNC,
            x86.X86_INS_INVEPT,
            x86.X86_INS_INVVPID,
            x86.X86_INS_VMRUN,
            x86.X86_INS_VMLOAD,
            x86.X86_INS_VMSAVE,
            x86.X86_INS_CLGI,
            x86.X86_INS_STGI,
            x86.X86_INS_SKINIT,
            x86.X86_INS_INVLPGA,
            x86.X86_INS_RSM,
            x86.X86_INS_GETSEC,
        ),
        _VIRTUALISATION,
    ),
}

SEGMENTS = frozenset((x86.X86_REG_CS, x86.X86_REG_DS, x86.X86_REG_ES, x86.X86_REG_SS, x86.X86_REG_FS, x86.X86_REG_GS))
_CONTROLS = frozenset(range(x86.X86_REG_CR0, x86.X86_REG_CR15 + 1))
_DEBUGS = frozenset(range(x86.X86_REG_DR0, x86.X86_REG_DR15 + 1))

# Vectors whose gates in the host's IDT ring 3 may use (Linux: arch/x86/kernel/idt.c).
_HOST_SYSTEM_CALL = 0x80
_BREAKPOINT, _OVERFLOW = 3, 4


def is_far(insn: CsInsn) -> bool:
    """True for a far JMP or CALL through memory, which capstone gives the id of the near one (FF /3, /5)."""
    return insn.opcode[0] == 0xFF and insn.modrm >> 3 & 7 in (3, 5)


def classify(insn: CsInsn) -> Kind | None:
    """The class of a decoded instruction (with details); None where it is not sensitive."""
    if insn.id == x86.X86_INS_MOV:
        return _move(insn)
    if insn.id in (x86.X86_INS_PUSH, x86.X86_INS_POP):
        operand = insn.operands[0]
        if operand.type != x86.X86_OP_REG or operand.reg not in SEGMENTS:
            return None
        return _SEGMENT_READ if insn.id == x86.X86_INS_PUSH else _SEGMENT_LOAD
    if insn.id in (x86.X86_INS_JMP, x86.X86_INS_CALL):
        return _FAR if is_far(insn) else None
    if insn.id == x86.X86_INS_INT:
        vector = insn.operands[0].imm & 0xFF
        if vector == _HOST_SYSTEM_CALL:
            return _INT_HOST
        return _INT_NATIVE if vector in (_BREAKPOINT, _OVERFLOW) else _INT
    return _BY_ID.get(insn.id)


def _move(insn: CsInsn) -> Kind | None:
    target, source = insn.operands
    for operand, segment in ((target, _SEGMENT_LOAD), (source, _SEGMENT_READ)):
        if operand.type != x86.X86_OP_REG:
            continue
        if operand.reg in SEGMENTS:
            return segment
        if operand.reg in _CONTROLS:
            return _CONTROL
        if operand.reg in _DEBUGS:
            return _DEBUG
    return None
