"""The same macros for NASM (`%include "ring3.nasm"`), generated from the contract.

The rules are those of ``gas``, and so are the bytes. Operands are written and ordered as NASM writes them, but
for those of ``r3_arpl``, ``r3_ljmp`` and ``r3_lcall``, which are GAS's; memory operands come without a size word,
since the carrier brings its own. All macros are ``.nolist``, so that their code counts as that of the line that
invokes them, in debug information too.
"""

from __future__ import annotations

from hypercalls import layout
from hypercalls.gas import gate_address, landing_address
from hypercalls.structs import SHARED
from hypercalls.table import HYPERCALLS, Operand, by_name

_GENERAL = ("ax", "cx", "dx", "bx", "bp", "si", "di")
_SUFFIXES = (("b", 8), ("w", 16), ("d", 32))


def _shared(field: str) -> str:
    return f"[ss:{layout.HOLE + layout.SHARED_OFFSET + SHARED.offset(field):#x}]"


def _table(offset: int, index: str) -> str:
    return f"[ss:{index}+{layout.HOLE + offset:#x}]"


def _gate(name: str) -> str:
    return f"call dword [cs:{gate_address(by_name[name].number):#x}]"


def _macro(name: str, count: str, *body: str, default: str = "") -> str:
    lines = "\n".join(f"\t{line}" for part in body for line in part.splitlines())
    return f"%macro r3_{name} {count}.nolist{default}\n{lines}\n%endmacro\n"


def _by_register(word: str, long: str, other: str) -> str:
    """Choose by the first argument's text; templates take {r}."""
    out, keyword = [], "%ifidni"
    for reg in _GENERAL:
        out += [f"{keyword} %1,{reg}", *word.format(r=reg).splitlines(),
                f"%elifidni %1,e{reg}", *long.format(r=reg).splitlines()]
        keyword = "%elifidni"
    return "\n".join([*out, "%else", *other.splitlines(), "%endif"])


def _carrier() -> str:
    registers = [f"{prefix}{reg}" for prefix in ("", "e") for reg in (*_GENERAL, "sp")]
    out, keyword = [], "%ifidni"
    for reg in registers:
        out += [f"{keyword} %1,{reg}", f"nop {reg}"]
        keyword = "%elifidni"
    return _macro("carrier", "1", "\n".join([*out, "%else", "nop dword %1", "%endif"]))


def _interrupts() -> list[str]:
    mask, free, pending = _shared("upcall_mask"), _shared("not_pending"), _gate("deliver_pending")
    return [
        _macro("cli", "0", f"mov byte {mask},1"),
        _macro("sti", "0", f"mov byte {mask},0", "push ecx", f"movzx ecx,byte {free}", "jecxz %%a", "pop ecx",
               "jmp short %%b", "%%a: pop ecx", pending, "%%b:"),
        _macro("sti_hlt", "0", _gate("safe_halt")),
        _macro("hlt", "0", _gate("halt")),
        _macro("pushf", "0", "pushfd", "push eax", "push ecx", "mov eax,[esp+8]", "movzx ecx,ah", f"mov ch,{mask}",
               f"mov ah,{_table(layout.FLAGS_OUT_OFFSET, 'ecx')}", "mov [esp+8],eax", "pop ecx", "pop eax"),
        _macro("pushfw", "0", _gate("pushf16")),
        _macro("popf", "0", "push eax", "mov eax,[esp+4]", "movzx eax,ah",
               f"mov al,{_table(layout.FLAGS_IN_OFFSET, 'eax')}", f"mov {mask},al", f"or al,{free}", "pop eax",
               "jle %%a", "popfd", "jmp short %%b", "%%a: popfd", pending, "%%b:"),
        _macro("popfw", "0", _gate("popf16")),
    ]


def _ports() -> list[str]:
    out = []
    for direction, reg, port in (("in", "%1", "%2"), ("out", "%2", "%1")):
        body, keyword = [], "%ifidni"
        for name, width in (("al", 8), ("ax", 16), ("eax", 32)):
            body += [f"{keyword} {reg},{name}", f"%ifidni {port},dx", _gate(f"{direction}{width}"), "%else",
                     _gate(f"{direction}{width}_imm"), f"push dword {port}", "%endif"]
            keyword = "%elifidni"
        body += ["%else", f"%error r3_{direction}: {reg} is none of al, ax, eax", "%endif"]
        out.append(_macro(direction, "2", *body))
    for rep in ("", "rep_"):
        for suffix, width in _SUFFIXES:
            out.append(_macro(f"{rep}ins{suffix}", "0", _gate(f"{rep}ins{width}")))
            out.append(_macro(f"{rep}outs{suffix}", "0-1", _gate(f"{rep}outs{width}"), "%ifidni %1,ds",
                              "nop dword [esi]", "%else", "nop dword [%1:esi]", "%endif", default=" ds"))
    return out


def _control() -> list[str]:
    out = []
    for reg in (0, 2, 3, 4):
        out.append(_macro(f"read_cr{reg}", "1", f"mov %1,{_shared(f'cr{reg}')}"))
        out.append(_macro(f"write_cr{reg}", "1", _gate(f"write_cr{reg}"), "nop %1"))
    return out


def _segments() -> list[str]:
    out = []
    selmap = f"[ss:nosplit e{{r}}*2+{layout.HOLE + layout.SELMAP_OFFSET:#x}]"
    revmap = f"[ss:nosplit e{{r}}*2+{layout.HOLE + layout.REVMAP_OFFSET:#x}]"
    for seg in ("ds", "es", "fs", "gs"):
        load = f"push e{{r}}\nmovzx e{{r}},{{r}}\nmov {seg},{selmap}\npop e{{r}}"
        out.append(_macro(f"load_{seg}", "1", _by_register(load, load, f"{_gate(f'load_{seg}')}\nr3_carrier %1")))
        long = f"mov e{{r}},{seg}\nmovzx e{{r}},word {revmap}"
        word = f"push e{{r}}\n{long}\nmov [esp],{{r}}\npop e{{r}}"
        out.append(_macro(f"store_{seg}", "1", _by_register(word, long, f"{_gate(f'store_{seg}')}\nr3_carrier %1")))
        for suffix, size, reg in (("", 4, "eax"), ("w", 2, "ax")):
            out.append(_macro(f"push{suffix}_{seg}", "0", f"lea esp,[esp-{size}]", "push eax", f"mov eax,{seg}",
                              f"movzx eax,word {revmap.format(r='ax')}", f"mov [esp+4],{reg}", "pop eax"))
            out.append(_macro(f"pop{suffix}_{seg}", "0", "push eax", "movzx eax,word [esp+4]",
                              f"mov {seg},{selmap.format(r='ax')}", "pop eax", f"lea esp,[esp+{size}]"))
    for seg in ("cs", "ss"):
        source = _shared(seg)
        out.append(_macro(f"store_{seg}", "1", _by_register(f"mov {{r}},{source}", f"mov e{{r}},{source}",
                                                            f"{_gate(f'store_{seg}')}\nr3_carrier %1")))
        out.append(_macro(f"push_{seg}", "0", f"push dword {source}"))
        out.append(_macro(f"pushw_{seg}", "0", f"push word {source}"))
    return out


def _far_gate(name: str) -> tuple[str, ...]:
    address = landing_address(by_name[name].number)
    return "jmp short %%b", f"%%a: jmp {layout.HOST_CS64:#x}:{address:#x}", "%%b: call %%a"


def _interrupt(vector: str) -> tuple[str, ...]:
    """As in ``gas``."""
    return "%%s:", *_far_gate("int"), f"push dword {vector}", "jmp short %%s"


def _flow() -> list[str]:
    return [
        _macro("int", "1", *_interrupt("%1")),
        _macro("int3", "0", *_interrupt("3")),
        _macro("into", "0", "jno %%o", *_interrupt("4"), "%%o:"),
        _macro("ljmp", "2", _gate("ljmp"), "push dword %2", "push dword %1"),
        _macro("lcall", "2", _gate("lcall"), "push dword %2", "push dword %1"),
        _macro("lret_n", "1", _gate("lret_n"), "push dword %1"),
        _macro("lretw", "0", _gate("lret16")),
        _macro("iretw", "0", _gate("iret16")),
        _macro("sysenter", "0", *_far_gate("sysenter")),
        *(_macro(name, "0", "nop") for name in ("wbinvd", "invd", "stac", "clac")),
    ]


def _plain(done: set[str]) -> list[str]:
    out = []
    for row in HYPERCALLS:
        if row.name in done or row.group in ("xen", "port", "interrupt", "coverage"):
            continue
        if row.operand is Operand.NONE:
            out.append(_macro(row.name, "0", _gate(row.name)))
        elif row.operand is Operand.CARRIER:
            out.append(_macro(row.name, "1", _gate(row.name), "r3_carrier %1"))
        elif row.operand is Operand.CARRIER2:
            out.append(_macro(row.name, "2", _gate(row.name), "r3_carrier %2", "r3_carrier %1"))
    return out


def macros() -> str:
    """Text of ``ring3.nasm``."""
    special = [*_interrupts(), *_ports(), *_control(), *_segments(), *_flow()]
    done = {text.split()[1].removeprefix("r3_") for text in special}
    head = "; Generated by `python -m hypercalls`; do not edit. The contract is hypercalls/.\n"
    body = "\n".join([_carrier(), *special, *_plain(done)])
    return f"{head}%ifndef R3_MACROS\n%define R3_MACROS\n{body}%endif\n"
