"""Which decoded instructions are sensitive, and what an unported one does when guest code runs.

The table is keyed by what capstone decoded (instruction id and operands), never by spelling. What happens
to each is the catalogue's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from capstone import CsInsn, x86

from porter.catalogue import BY_KEY
from porter.catalogue_model import Ring3, Treatment


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


def _kind(key: str) -> Kind:
    """The class and behaviour that the catalogue has for a row."""
    row = BY_KEY[key]
    if row.treatment is Treatment.NATIVE:
        return Kind(row.group, Effect.NATIVE, row.why)
    return Kind(row.group, Effect.TRAPS if row.ring3 is Ring3.TRAPS else Effect.SILENT, row.why)


_INT_HOST = Kind(_kind("int").name, Effect.TRAPS, "the host's sandbox stops the system call: slower than #GP")
_INT = Kind(_INT_HOST.name, Effect.TRAPS, "#GP with the vector in the error code")
_INT_NATIVE = Kind(_INT.name, Effect.NATIVE, "traps natively and is reflected to the guest")
_FAR = _kind("ljmp")
_SEGMENT_LOAD, _SEGMENT_READ = _kind("mov-to-sreg"), _kind("mov-from-sreg")
_CONTROL, _DEBUG = _kind("mov-to-cr"), _kind("mov-to-dr")
_TIME = Kind("time", Effect.NATIVE, "runs natively: reads the host's counter")
_UNDEFINED = Kind("undefined", Effect.NATIVE, "#UD natively, reflected to the guest")

# By row of the catalogue.
_ROWS: dict[str, tuple[int, ...]] = {
    "cli": (x86.X86_INS_CLI,),
    "sti": (x86.X86_INS_STI,),
    "pushf": (x86.X86_INS_PUSHF, x86.X86_INS_PUSHFD),
    "popf": (x86.X86_INS_POPF, x86.X86_INS_POPFD),
    "hlt": (x86.X86_INS_HLT,),
    "monitor": (x86.X86_INS_MONITOR,),
    "mwait": (x86.X86_INS_MWAIT,),
    "in": (x86.X86_INS_IN,),
    "out": (x86.X86_INS_OUT,),
    "ins": (x86.X86_INS_INSB, x86.X86_INS_INSW, x86.X86_INS_INSD),
    "outs": (x86.X86_INS_OUTSB, x86.X86_INS_OUTSW, x86.X86_INS_OUTSD),
    "clts": (x86.X86_INS_CLTS,),
    "lmsw": (x86.X86_INS_LMSW,),
    "smsw": (x86.X86_INS_SMSW,),
    "lgdt": (x86.X86_INS_LGDT,),
    "lidt": (x86.X86_INS_LIDT,),
    "lldt": (x86.X86_INS_LLDT,),
    "ltr": (x86.X86_INS_LTR,),
    "sgdt": (x86.X86_INS_SGDT,),
    "sidt": (x86.X86_INS_SIDT,),
    "sldt": (x86.X86_INS_SLDT,),
    "str": (x86.X86_INS_STR,),
    "lar": (x86.X86_INS_LAR,),
    "lsl": (x86.X86_INS_LSL,),
    "verr": (x86.X86_INS_VERR,),
    "verw": (x86.X86_INS_VERW,),
    "arpl": (x86.X86_INS_ARPL,),
    "lds": (x86.X86_INS_LDS,),
    "les": (x86.X86_INS_LES,),
    "lss": (x86.X86_INS_LSS,),
    "lfs": (x86.X86_INS_LFS,),
    "lgs": (x86.X86_INS_LGS,),
    "ljmp": (x86.X86_INS_LJMP,),
    "lcall": (x86.X86_INS_LCALL,),
    "lret": (x86.X86_INS_RETF,),
    "iret": (x86.X86_INS_IRET, x86.X86_INS_IRETD),
    "sysenter": (x86.X86_INS_SYSENTER,),
    "syscall": (x86.X86_INS_SYSCALL,),
    "sysexit": (x86.X86_INS_SYSEXIT,),
    "sysret": (x86.X86_INS_SYSRET,),
    "invlpg": (x86.X86_INS_INVLPG,),
    "invpcid": (x86.X86_INS_INVPCID,),
    "wbinvd": (x86.X86_INS_WBINVD, x86.X86_INS_WBNOINVD),
    "invd": (x86.X86_INS_INVD,),
    "rdmsr": (x86.X86_INS_RDMSR,),
    "wrmsr": (x86.X86_INS_WRMSR,),
    "rdpmc": (x86.X86_INS_RDPMC,),
    "cpuid": (x86.X86_INS_CPUID,),
    "rdtscp": (x86.X86_INS_RDTSCP,),
    "rdpid": (x86.X86_INS_RDPID,),
    "xsetbv": (x86.X86_INS_XSETBV,),
    "xgetbv": (x86.X86_INS_XGETBV,),
    "xsaves": (x86.X86_INS_XSAVES, x86.X86_INS_XRSTORS),
    "stac": (x86.X86_INS_STAC,),
    "clac": (x86.X86_INS_CLAC,),
    "rsm": (x86.X86_INS_RSM,),
    "vmcall": (x86.X86_INS_VMCALL,),
    "vmmcall": (x86.X86_INS_VMMCALL,),
    "vmfunc": (x86.X86_INS_VMFUNC,),
    "vmx-svm": (
        x86.X86_INS_VMLAUNCH,
        x86.X86_INS_VMRESUME,
        x86.X86_INS_VMXOFF,
        x86.X86_INS_VMXON,
        x86.X86_INS_VMPTRLD,
        x86.X86_INS_VMPTRST,
        x86.X86_INS_VMCLEAR,
        x86.X86_INS_VMREAD,
        x86.X86_INS_VMWRITE,
        x86.X86_INS_INVEPT,
        x86.X86_INS_INVVPID,
        x86.X86_INS_VMRUN,
        x86.X86_INS_VMLOAD,
        x86.X86_INS_VMSAVE,
        x86.X86_INS_CLGI,
        x86.X86_INS_STGI,
        x86.X86_INS_SKINIT,
        x86.X86_INS_INVLPGA,
        x86.X86_INS_GETSEC,
    ),
    "system-extensions": (  # as far as capstone knows them
        x86.X86_INS_ENCLV,
        x86.X86_INS_ENCLS,
        x86.X86_INS_PCONFIG,
        x86.X86_INS_SETSSBSY,
        x86.X86_INS_CLRSSBSY,
        x86.X86_INS_WRUSSD,
    ),
}

_BY_ID: dict[int, Kind] = {
    **{id_: _kind(key) for key, ids in _ROWS.items() for id_ in ids},
    **dict.fromkeys((x86.X86_INS_INT1, x86.X86_INS_INT3, x86.X86_INS_INTO, x86.X86_INS_BOUND), _INT_NATIVE),
    x86.X86_INS_RDTSC: _TIME,
    # Capstone tells swapgs outside of 64-bit mode, too.
    **dict.fromkeys((x86.X86_INS_UD0, x86.X86_INS_UD1, x86.X86_INS_UD2, x86.X86_INS_SWAPGS), _UNDEFINED),
}

SEGMENTS = frozenset((x86.X86_REG_CS, x86.X86_REG_DS, x86.X86_REG_ES, x86.X86_REG_SS, x86.X86_REG_FS, x86.X86_REG_GS))
_CONTROLS = frozenset((x86.X86_REG_CR0, x86.X86_REG_CR2, x86.X86_REG_CR3, x86.X86_REG_CR4, x86.X86_REG_CR8))
_NO_CONTROLS = frozenset(range(x86.X86_REG_CR0, x86.X86_REG_CR15 + 1)) - _CONTROLS
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
            return _UNDEFINED if operand is target and operand.reg == x86.X86_REG_CS else segment
        if operand.reg in _CONTROLS:
            return _CONTROL
        if operand.reg in _NO_CONTROLS:
            return _UNDEFINED
        if operand.reg in _DEBUGS:
            return _DEBUG
    return None
