"""AT&T syntax, as the generator of random text has it."""

from __future__ import annotations

from porter.catalogue import SPELLINGS
from porter.catalogue_model import Slot
from tests.porter.fuzz.generator import PREFIXES, Language

_SEGMENTS = ("%cs", "%ds", "%es", "%fs", "%gs", "%ss")
_LONG = ("%eax", "%ebx", "%ecx", "%edx", "%esi", "%edi", "%ebp", "%esp")
_WORD = ("%ax", "%bx", "%cx", "%dx", "%si", "%di", "%bp", "%sp")
_BYTE = ("%al", "%ah", "%bl", "%cl", "%dh")
_MEMORY = ("(%eax)", "4(%esp)", "SYM", "SYM(,%edi,2)", "%fs:(%ecx)", "%ds:4", "-8(%ebp)", "(%eax,%ebx,4)", "%cs:SYM+2",
           "SYM+4(%eax)", "0x10( %eax , %ebx )", "%gs:SYM(,%eax,4)", "SYM-SYM(%edx)", "(SYM)", "%es:(%edi)",
           "%ss:8(%esp)", "%es: (%edi)", "%fs :4", "(8)+4(%esi)", "~3(%eax)", "'a'(%eax)", "( %ecx )", "(,%eax)")
_IMMEDIATE = ("$5", "$0x80", "$-1", "$SYM", "$SYM+4", "$(1<<3)", "$'a", "$SYM | 3", "$ 8", "$~0", "$(SYM)", "$0b101",
              "$';", "$'#", "$'\"", "$'/", "$'\\\\", "$3 + 1")
_INDIRECT = ("*%eax", "*(%eax)", "*SYM", "*%cs:SYM(,%eax,4)", "* 4(%ebx)", "*%gs:8")
_OTHER = ("%st", "%st(1)", "%mm1", "%xmm0", "%tr6", "%cr8", "%k1", "SYM", "*SYM", "(%si)", "(%bx,%di)", "%es:(%di)")

_POOLS: dict[Slot, tuple[str, ...]] = {
    Slot.ACC: ("%al", "%ax", "%eax"),
    Slot.PORT: ("%dx", "(%dx)", *_IMMEDIATE),
    Slot.RM: (*_LONG, *_WORD, *_MEMORY),
    Slot.REG: (*_LONG, *_WORD),
    Slot.MEM: _MEMORY,
    Slot.IND: _INDIRECT,
    Slot.FAR: _INDIRECT,
    Slot.IMM: _IMMEDIATE,
    Slot.SREG: _SEGMENTS,
    Slot.CR: ("%cr0", "%cr2", "%cr3", "%cr4"),
    Slot.CR8: ("%cr8",),
    Slot.DR: tuple(f"%{name}{number}" for name in ("dr", "db") for number in range(8)),
}
_STRING = ("%es:(%edi)", "(%edi)", "(%esi)", "%fs:(%esi)", "%ds:(%esi)", "%dx", "(%dx)")

# Spellings in which something sensitive hides, or seems to.
_ORDINARY = (
    "mov %eax,%ecx", "movl %gs:20,%eax", "movl %fs:(%ecx),%edx", "mov %eax,%ds:4", "push %eax", "pushl %ds:4",
    "popl %gs:8", "jmp SYM", "jmp *%eax", "call *%cs:SYM", "call SYM", "ret", "ret $4", "rep movsl", "rep; stosb",
    "rdtsc", "ud2", "pause", "clflush (%eax)", "fxsave (%eax)", "lea SYM(%eax),%esi", "movsw", "lodsl", "lahf", "sahf",
    "std", "cld", "stc", "clc", "cmc", "leave", "inc %eax", "incl (%ecx)", "insertps $1,%xmm0,%xmm1", "lock incl SYM",
    "movl $cli,%eax", "call hlt", "jmp in", "lea iret(%eax),%ebx", "movl out,%edx", "pushl $int3",
    "addl $'\",%eax",
    "movb $';,%al", "movb $'#,%al", "xor %dx,%dx", "test %edx,%edx", "imull $3,%eax,%ecx", "movzwl %ax,%ecx",
    "bswap %ecx", "cmpxchg %ecx,(%edx)", "xchg %eax,(%ecx)", "lock; xadd %eax,(%ecx)", "fninit", "fwait", "nop",
    "lret_x = 4", "cs movl (%eax),%ebx", "jecxz SYM", "loop SYM", "sti_it = 1", "popa", "pushal", "inb = 3",
    "cli = SYM + 1", "lock/incl (%eax)", "/cli # to the end of the line\n nop", "cs/movl (%eax),%ecx",
    "movl %eax , ( %ebx )", "nopl %cs:(%eax)", "sysenter_eip = 7", "clflush %ds:(%eax)", "outline = 1",
    "prefetch (%eax)", "xsavec (%eax)", "rdrand %eax", "mov %eax,%cs:4", "movb %al,%es:(%edi)", "sgdtx = 2",
    "movw $0x10,%ax", "bt %eax,%ecx",
)


def _join(name: str, operands: list[str], comma: str) -> str:
    return comma.join(operands)


ATT = Language(
    head="",
    spellings=SPELLINGS,
    pools=_POOLS,
    rest=(*_BYTE, *_OTHER),
    string=_STRING,
    native=((), ("(%eax)",), ("%eax", "%ecx"), ("(%eax)", "%ecx"), ("%eax", "(%ecx)")),
    prefixes=PREFIXES,
    ordinary=_ORDINARY,
    join=_join,
    registers=(*_SEGMENTS, *_LONG, "%cr0", "%dr7"),
    with_argument=tuple(
        f"{head} {form}" for head in ("mov", "movl", "movw", "push", "pop", "pushl")
        for form in ("\\r", "\\r,%eax", "%eax,\\r", "(%ecx),\\r", "\\r,(%ecx)", "\\r,%ax", "%dx,\\r")),
    with_loop=("mov \\r,%eax", "mov %eax,\\r", "push \\r", "pop \\r"),
    with_name=("mov %\\r,%eax", "mov %eax,%\\r", "push %\\r", "pop %\\r"),
    in_pieces=(("cl", "i,c", ""), ("h", "lt", ""), ("st", "i,c", ""), ("in", "b,w", " %dx"), ("push", "f,fl", ""),
               ("wr", "msr", ""), ("i", "ret", ""), ("mo", "v", " %cr0,%eax"), ("cl", "ts", "")),
    suffixes="bwl",
    with_suffix=("in\\s %dx", "out\\s %dx", "ins\\s", "outs\\s", "rep; ins\\s", "push\\s %ds"),
    with_symbol=("mov {0},%eax", "mov %eax,{0}", "push {0}", "in {0},%al", "incl {0}"),
    symbols=("%cr0", "%ds", "%eax", "%dr7", "%dx"),
    whole=("push %cs", "mov %eax,%cr3", "in $5,%al", "nop", "mov %eax,%ebx", "lgdt SYM"),
)
