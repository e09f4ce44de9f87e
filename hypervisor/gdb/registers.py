"""The register file that gdb sees, and its description (GDB manual, appendix G)."""

from __future__ import annotations

from dataclasses import dataclass

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
FPU_CONTROL = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
SYSTEM = ("cr0", "cr2", "cr3", "cr4", "efer", "cpl", *(f"{name}_base" for name in SEGMENTS),
          "gdt_base", "gdt_limit", "idt_base", "idt_limit", "ldtr", "tr")  # fmt: skip


@dataclass(frozen=True)
class Register:
    """One register: its name, size in bytes, and gdb's type."""

    name: str
    size: int
    kind: str


CORE = (
    *(Register(name, 4, "data_ptr" if name in ("esp", "ebp") else "int32") for name in GENERAL),
    Register("eip", 4, "code_ptr"),
    Register("eflags", 4, "i386_eflags"),
    *(Register(name, 4, "int32") for name in SEGMENTS),
    *(Register(f"st{number}", 10, "i387_ext") for number in range(8)),
    *(Register(name, 4, "int") for name in FPU_CONTROL),
)
SSE = (*(Register(f"xmm{number}", 16, "vec128") for number in range(8)), Register("mxcsr", 4, "i386_mxcsr"))
ALL = (*CORE, *SSE, *(Register(name, 4, "uint32") for name in SYSTEM))

_EFLAGS = ((0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (9, "IF"), (10, "DF"), (11, "OF"),
           (14, "NT"), (16, "RF"), (17, "VM"), (18, "AC"), (21, "ID"))  # fmt: skip
_MXCSR = ((0, "IE"), (1, "DE"), (2, "ZE"), (3, "OE"), (4, "UE"), (5, "PE"), (6, "DAZ"), (7, "IM"), (8, "DM"),
          (9, "ZM"), (10, "OM"), (11, "UM"), (12, "PM"), (15, "FZ"))  # fmt: skip


def _flags(name: str, bits: tuple[tuple[int, str], ...]) -> str:
    fields = "".join(f'<field name="{bit}" start="{at}" end="{at}"/>' for at, bit in bits)
    return f'<flags id="{name}" size="4">{fields}</flags>'


def description() -> str:
    """The target description, in XML."""

    def lines(registers: tuple[Register, ...]) -> str:
        return "".join(f'<reg name="{r.name}" bitsize="{r.size * 8}" type="{r.kind}"/>' for r in registers)

    vector = ('<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>'
              '<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>'
              '<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>'
              '<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>'
              '<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/>'
              '<field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>'
              '<field name="uint128" type="uint128"/></union>')
    return (
        '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>i386</architecture>'
        f'<feature name="org.gnu.gdb.i386.core">{_flags("i386_eflags", _EFLAGS)}{lines(CORE)}</feature>'
        f'<feature name="org.gnu.gdb.i386.sse">{vector}{_flags("i386_mxcsr", _MXCSR)}{lines(SSE)}</feature>'
        f'<feature name="org.ring3.i386.system">{lines(ALL[len(CORE) + len(SSE) :])}</feature></target>'
    )
