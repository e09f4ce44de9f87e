"""Intel syntax without signs in front of registers, as the generator of random text has it."""

from __future__ import annotations

from porter.catalogue import INTEL_SPELLINGS
from porter.catalogue_model import Slot
from tests.porter.fuzz.generator import PREFIXES, Language

_SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss")
_LONG = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp")
_WORD = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_ADDRESSES = (
    "[eax]", "[esp+4]", "[SYM]", "SYM[edi*2]", "fs:[ecx]", "ds:4", "[ebp-8]", "-8[ebp]", "[eax+ebx*4]", "cs:[SYM+2]",
    "[SYM+eax+4]", "[ eax + ebx + 0x10 ]", "gs:[SYM+eax*4]", "[eax][ebx]", "es:[edi]", "ss:[esp + 8]", "es: [edi]",
    "fs : 4", "4[esi]", "SYM[eax]", "[eax*1]", "[(eax)]", "%fs:[%ecx]", "ds:[ebx]", "other", "other+4", "cs:other",
    "[eax + (1 shl 3)]", "[ebx+'a']",
)
_SIZES = ("byte", "word", "dword", "fword", "qword", "DWORD", "far")
_MEMORY = (*_ADDRESSES, *(f"{size} ptr {address}" for size in _SIZES for address in _ADDRESSES[:12]),
           "word ptr gs:[4]", "offset 4[ebp]")
_IMMEDIATE = (
    "5", "0x80", "-1", "SYM", "SYM+4", "(1<<3)", "'a'", "SYM | 3", "80h", "~0", "(SYM)", "0b101", "offset SYM",
    "offset other", "3 + 1", "(1 shl 3)", "(not 1)", "byte ptr 4", "word ptr 4", "0ah", "';'", "'#'",
)
_INDIRECT = ("eax", "[eax]", "SYM", "cs:[SYM+eax*4]", "dword ptr [ebx]", "gs:[8]", "fword ptr [eax]", "far ptr [eax]",
             "fword ptr cs:other", "FWORD PTR other", "fword ptr 8", "[ebx+4]", "other")

_POOLS: dict[Slot, tuple[str, ...]] = {
    Slot.ACC: ("al", "ax", "eax"),
    Slot.PORT: ("dx", "dx", "dx", "(dx)", "edx", *_IMMEDIATE),
    Slot.RM: (*_LONG, *_WORD, *_MEMORY),
    Slot.REG: (*_LONG, *_WORD, "%eax", "%cx"),
    Slot.MEM: _MEMORY,
    Slot.IND: _INDIRECT,
    Slot.FAR: _INDIRECT,
    Slot.IMM: _IMMEDIATE,
    Slot.SREG: (*_SEGMENTS, "%ds", "(es)"),
    Slot.CR: ("cr0", "cr2", "cr3", "cr4", "%cr0"),
    Slot.CR8: ("cr8",),
    Slot.DR: (*(f"{name}{number}" for name in ("dr", "db") for number in range(8)), "%dr7"),
}

# Spellings in which something sensitive hides, or seems to.
_ORDINARY = (
    "mov eax,ecx", "mov eax,gs:[20]", "mov edx,dword ptr fs:[ecx]", "mov ds:4,eax", "mov eax,ds:[ebx]",
    "mov eax,offset other", "mov eax,other", "push eax", "push dword ptr ds:4", "pop dword ptr gs:[8]", "jmp other",
    "jmp eax", "jmp [eax]", "jmp dword ptr cs:other", "jmp ds:[eax]", "call other", "call dword ptr [eax+4]",
    "call cs:other", "ret", "ret 4", "rep movsd", "rep; stosb", "rdtsc", "ud2", "pause", "clflush [eax]",
    "fxsave [eax]", "lea esi,other[eax]", "movsw", "lodsd", "lahf", "std", "cld", "stc", "leave", "enter 8,0",
    "inc eax", "movd mm0,eax", "insertps xmm1,xmm0,1", "lock inc dword ptr other", "xchg eax,[ebx]", "mov eax,cli",
    "call hlt", "jmp in_it", "lea ebx,iret[eax]", "mov edx,dword ptr int3", "push offset sti", "mov al,';'",
    "mov al,'#'", "xor dx,dx", "imul ecx,eax,3", "movzx ecx,ax", "bswap ecx", "cmpxchg [edx],ecx",
    "lock; xadd [ecx],eax", "fninit", "nop", "lret_x = 4", "cs mov ebx,[eax]", "jecxz other", "loop other",
    "sti_it = 1", "popa", "pushad", "inb = 3", "cli = SYM + 1", "mov es:[edi],al", "sgdtx = 2", "bt ecx,eax",
    "mov eax,[ebx]; mov [ebx],eax", "test byte ptr cs:[eax],1", "jmp short other", "mov eax,1 + 2", "mov cx,ds:[4]",
)


def _join(name: str, operands: list[str], comma: str) -> str:
    """Destination first; but a far pointer is selector and offset."""
    if len(operands) == 2 and name.rstrip("wd") in ("jmp", "ljmp", "call", "lcall"):
        colon = set(operands) <= set(_IMMEDIATE)  # memory behind one makes the assembler stumble
        return (comma.replace(",", ":") if colon else comma).join(operands)
    return comma.join(reversed(operands))


INTEL = Language(
    head=".intel_syntax noprefix\n",
    spellings=INTEL_SPELLINGS,
    pools=_POOLS,
    rest=("al", "ah", "bl", "cl", "dh", "st", "st(1)", "mm1", "xmm0", "tr6", "cr8", "k1", "[si]", "[bx+di]", "es:[di]"),
    string=("es:[edi]", "[edi]", "[esi]", "fs:[esi]", "ds:[esi]", "byte ptr [edi]", "word ptr es:[edi]",
            "dword ptr gs:[esi]", "dword ptr [esi]", "dx", "(dx)", "dx"),
    native=((), ("[eax]",), ("eax", "ecx"), ("[eax]", "ecx"), ("eax", "[ecx]")),
    prefixes=PREFIXES,
    ordinary=_ORDINARY,
    join=_join,
    registers=(*_SEGMENTS, *_LONG, "cr0", "dr7"),
    with_argument=tuple(
        f"{head} {form}" for head in ("mov", "movd", "movw", "push", "pop", "pushd")
        for form in ("\\r", "eax,\\r", "\\r,eax", "\\r,[ecx]", "[ecx],\\r", "ax,\\r", "\\r,dx")),
    with_loop=("mov eax,\\r", "mov \\r,eax", "push \\r", "pop \\r"),
    with_name=("mov eax,%\\r", "mov %\\r,eax", "push %\\r", "pop %\\r"),
    in_pieces=(("cl", "i,c", ""), ("h", "lt", ""), ("st", "i,c", ""), ("in", "b,w", " dx"), ("push", "f,fd", ""),
               ("wr", "msr", ""), ("i", "ret", ""), ("mo", "v", " eax,cr0"), ("cl", "ts", "")),
    suffixes="bwd",
    with_suffix=("in\\s dx", "out\\s dx", "ins\\s", "outs\\s", "rep; ins\\s", "push\\s ds"),
    with_symbol=("mov eax,{0}", "mov {0},eax", "push {0}", "in al,{0}", "inc {0}"),
    symbols=("cr0", "ds", "eax", "dr7", "dx", "%cr0"),
    whole=("push cs", "mov cr3,eax", "in al,5", "nop", "mov ebx,eax", "lgdt [eax]"),
)
