"""Random assembler text in AT&T syntax, in units that can be assembled and judged one by one."""

from __future__ import annotations

import re
from random import Random
from typing import NamedTuple

from porter.catalogue import SPELLINGS
from porter.catalogue_model import Slot

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
_ANY = tuple(operand for pool in (*_POOLS.values(), _BYTE, _OTHER) for operand in pool)
_STRING = ("%es:(%edi)", "(%edi)", "(%esi)", "%fs:(%esi)", "%ds:(%esi)", "%dx", "(%dx)")

_PREFIXES = ("rep", "repe", "repz", "repne", "repnz", "lock", "data16", "addr16", "data32", "addr32", "word", "aword",
             "dword", "adword", "ht", "hnt", "bnd", "notrack", "xacquire", "xrelease", "wait", "cs", "ds", "es", "fs",
             "gs", "ss", "{load}", "{store}", "{disp8}", "{disp32}", "{vex}", "{nooptimize}")
_SUFFIXES = (".s", ".d8", ".d32")

# Spellings in which something sensitive hides, or seems to.
ORDINARY = (
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
DATA = (
    ".byte 0xfa, 0xf4", '.ascii "cli; hlt"', '.asciz "mov %cr0,%eax"', ".long 0xf4f4f4f4, SYM", '.string "a\\"; sti"',
    ".byte 'a', ';'", ".word SYM", ".skip 4", ".align 4", ".p2align 2,0x90", '.ascii "/* hlt"', '.ascii "*/ # cli"',
    ".byte 0x66", ".fill 2,1,0xfa", ".octa 0xfb", ".zero 3", ".org .+2", ".balign 4,0xf4",
)
_BETWEEN = ("", "", "", "", " ", "\t", "  ", " \t ")


class Unit(NamedTuple):
    """Some whole lines.

    `data`: they hold no instruction, whatever their bytes look like. `expands`: the assembler makes the
    instructions of a macro or loop, of which the porter may say that some use of it could be sensitive.
    """

    text: str
    data: bool = False
    expands: bool = False
    statements: int = 0

    @property
    def lines(self) -> int:
        return self.text.count("\n")


class Generator:
    """An endless supply of units; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        # capstone does not know those of 64-bit mode, which GAS takes in 32-bit code.
        self._names = sorted(name for name in SPELLINGS if not name.startswith("mov") and not name.endswith("sbase"))
        self._moves = [name for name in SPELLINGS if name.startswith("mov")]
        self._count = 0
        self._statements = 0

    def _chance(self, percent: float) -> bool:
        return self._random.random() * 100 < percent

    def _pick(self, among: tuple[str, ...]) -> str:
        return self._random.choice(among)

    def _cased(self, text: str) -> str:
        if self._chance(85) or "'" in text or "SYM" in text:
            return text
        if self._chance(60):
            return text.upper()
        return "".join(self._random.choice((char.lower(), char.upper())) for char in text)

    def _operands(self, name: str) -> list[str]:
        if self._chance(15):
            return [self._pick(_ANY) for _ in range(self._random.randrange(4))]
        forms = [form for row in SPELLINGS[name].rows for form in row.forms]
        if not forms:
            return self._random.choice(([], ["(%eax)"], ["%eax", "%ecx"], ["(%eax)", "%ecx"], ["%eax", "(%ecx)"]))
        slots = self._random.choice(forms).slots
        if SPELLINGS[name].rows[0].string and slots:
            return [self._pick(_STRING), self._pick(_STRING)]
        return [self._pick(_POOLS[slot]) for slot in slots]

    def _spaced(self, text: str) -> str:
        """Blanks where the assembler takes them."""
        if not self._chance(5) or "'" in text:
            return text
        return text.replace("%", "% ", 1) if self._chance(30) else text.replace("(", "( ").replace(")", " )")

    def sensitive(self) -> str:
        """A statement with a mnemonic of the catalogue: sensitive as a rule, and not always one that assembles."""
        name = self._random.choice(self._moves if self._chance(20) else self._names)
        operands = [self._spaced(self._cased(operand)) for operand in self._operands(name)]
        head = self._cased(name) + (self._pick(_SUFFIXES) if self._chance(2) else "")
        prefixes = [self._cased(self._pick(_PREFIXES)) for _ in range(self._random.choice((1, 1, 2)))
                    ] if self._chance(12) else []
        gap = self._pick((" ", "\t", "  ", " \t")) if operands else ""
        comma = self._pick((",", ",", ",", ", ", " , ", "\t,"))
        # A pseudo prefix must be on the instruction that it is for. A size that stands alone makes other
        # instructions of what follows than those that GAS wrote, where there is an address or an immediate.
        alone = not re.search(r"[{]|addr|a\w*word" + ("|data|word" if "$" in "".join(operands) else ""),
                              " ".join(prefixes), re.IGNORECASE)
        joint = "; " if alone and self._chance(20) else " "
        joint = "/" if joint == " " and self._chance(3) and "{" not in "".join(prefixes) else joint
        return f"{joint.join([*prefixes, head])}{gap}{comma.join(operands)}"

    def statement(self) -> str:
        """One statement."""
        self._statements += 1
        return self.sensitive() if self._chance(70) else self._pick(ORDINARY)

    def _label(self) -> str:
        if not self._chance(12):
            return ""
        self._count += 1
        name = self._pick(("1:", "12:", f"l{self._count}:", f".Ll{self._count}:", f"$d{self._count}:",
                           f"cli{self._count}:", f"l{self._count} :", f'"q {self._count}":', f"_x.y{self._count}:"))
        return name + self._pick(("", " ", "\t"))

    def _comment(self) -> str:
        return self._pick((" # note", "\t# cli; hlt", " # / hlt", " /* a */", " /* hlt */ ", "# $x", "/**/",
                           " /* a\n * cli\n */"))

    def line(self) -> str:
        """A line of statements, or several lines where a comment spans them."""
        statements = [self._label() + self.statement() for _ in range(self._random.choice((1, 1, 1, 1, 2, 3)))]
        text = self._pick((";", "; ", " ; ", ";;", "\n", " /* x */; ")).join(statements)
        if self._chance(10):
            text += self._comment()
        if self._chance(4) and "/cli" not in text:  # behind /* */, GAS takes / for neither comment nor code
            text = self._pick(("/* x */ ", "/* x\n*/ ", "/* sti */")) + text
        start, end = self._pick(("\t", "", " ", "        ")), self._pick(("\n", "\n", "\n", "\r\n"))
        return f"{start}{text}{self._pick(_BETWEEN)}{end}"

    def units(self, statements: int) -> list[Unit]:
        """Units that hold at least so many statements."""
        units, count = [], 0
        while count < statements:
            units.append(self.unit())
            count += units[-1].statements
        return units

    def unit(self) -> Unit:
        """The next unit."""
        before, kind = self._statements, self._random.random()
        if kind < 0.05:
            return Unit(f"\t{self._pick(DATA)}\n", data=True, statements=1)
        text = self._compound() if kind < 0.15 else self.line()
        return Unit(text, expands=kind < 0.15, statements=self._statements - before)

    def _compound(self) -> str:
        """Statements inside of what the assembler expands."""
        self._count += 1
        name = f"m{self._count}"
        body = "".join(self.line() for _ in range(self._random.choice((1, 1, 2))))
        kind = self._random.randrange(14)
        if kind == 0:
            return f".macro {name}\n{body}.endm\n{name}\n"
        if kind == 1:
            return f".rept {self._random.randrange(1, 3)}\n{body}.endr\n"
        if kind == 2:
            return f".if 1\n{body}.else\n{self.line()}.endif\n"
        if kind == 3:
            # (In 32-bit code, GAS takes %cr8 for AMD's spelling of %cr0 with lock: it stays, and traps.)
            register = self._pick(tuple(operand for operand in _ANY if operand != "%cr8"))
            head = self._pick(("mov", "movl", "movw", "push", "pop", "pushl"))
            form = self._pick(("\\r", "\\r,%eax", "%eax,\\r", "(%ecx),\\r", "\\r,(%ecx)", "\\r,%ax", "%dx,\\r"))
            self._statements += 1
            return f".macro {name} r\n\t{head} {form}\n.endm\n\t{name} {register}\n"
        if kind == 4:
            registers = self._random.sample((*_SEGMENTS, *_LONG, "%cr0", "%dr7"), 2)
            head = self._pick(("mov \\r,%eax", "mov %eax,\\r", "push \\r", "pop \\r"))
            self._statements += 2
            return f".irp r,{','.join(registers)}\n\t{head}\n.endr\n"
        if kind == 5:
            short = self._pick(("ds", "es", "fs", "eax", "cr0", "dr3", "cs"))
            head = self._pick(("mov %\\r,%eax", "mov %eax,%\\r", "push %\\r", "pop %\\r"))
            self._statements += 1
            return f".macro {name} r\n\t{head}\n.endm\n\t{name} {short}\n"
        if kind == 6:
            insn = self._pick(("cli", "hlt", "nop", "lret", "iret", "cpuid", "CLI", "pushf", "sti", "ret", "clc"))
            self._statements += 1
            return f".macro {name} op\n\t\\op\n.endm\n\t{name} {insn}\n"
        if kind == 7:
            pieces = self._pick(("cl i,c", "h lt", "st i,c", "in b,w", "push f,fl", "wr msr", "i ret", "mo v", "cl ts"))
            stem, _, rest = pieces.partition(" ")
            operands = {"in": " %dx", "mo": " %cr0,%eax"}.get(stem, "")
            self._statements += 1
            return f".irp x,{rest}\n\t{stem}\\x{operands}\n.endr\n"
        if kind == 8:
            self._statements += 1
            return f".irpc c,{self._pick(('i', 'c', 'id', 'ic'))}\n\tcl\\c\n.endr\n"
        if kind == 9:
            suffix = self._pick(("b", "w", "l", ""))
            head = self._pick(("in\\s %dx", "out\\s %dx", "ins\\s", "outs\\s", "rep; ins\\s", "push\\s %ds"))
            self._statements += 1
            return f".macro {name} s\n\t{head}\n.endm\n\t{name} {suffix}\n"
        if kind == 10:
            register = self._pick(("%cr0", "%ds", "%eax", "%dr7", "%dx"))
            use = self._pick(("mov {0},%eax", "mov %eax,{0}", "push {0}", "in {0},%al", "incl {0}"))
            self._statements += 1
            return f".set r{name},{register}\n\t{use.format('r' + name)}\n"
        if kind == 11:
            whole = self._pick(("push %cs", "mov %eax,%cr3", "in $5,%al", "nop", "mov %eax,%ebx", "lgdt SYM"))
            return f".macro {name} all:vararg\n\t\\all\n.endm\n\t{name} {whole}\n"
        if kind == 12:
            return f".macro {name} op={self._pick(('cli', 'hlt', 'nop', 'iret'))}\n\t\\op\n.endm\n\t{name}\n"
        return f".altmacro\n{body}.noaltmacro\n"
