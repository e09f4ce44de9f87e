"""Random assembler text, in units that can be assembled and judged one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from porter.catalogue import Spelling
from porter.catalogue_model import Slot
from tests.porter.spellings import UNDECODED

PREFIXES = ("rep", "repe", "repz", "repne", "repnz", "lock", "data16", "addr16", "data32", "addr32", "word", "aword",
             "dword", "adword", "ht", "hnt", "bnd", "notrack", "xacquire", "xrelease", "wait", "cs", "ds", "es", "fs",
             "gs", "ss", "{load}", "{store}", "{disp8}", "{disp32}", "{vex}", "{nooptimize}")
_SUFFIXES = (".s", ".d8", ".d32")

DATA = (
    ".byte 0xfa, 0xf4", '.ascii "cli; hlt"', '.asciz "mov %cr0,%eax"', ".long 0xf4f4f4f4, SYM", '.string "a\\"; sti"',
    ".byte 'a', ';'", ".word SYM", ".skip 4", ".align 4", ".p2align 2,0x90", '.ascii "/* hlt"', '.ascii "*/ # cli"',
    ".byte 0x66", ".fill 2,1,0xfa", ".octa 0xfb", ".zero 3", ".org .+2", ".balign 4,0xf4",
)
_BETWEEN = ("", "", "", "", " ", "\t", "  ", " \t ")


class Language(NamedTuple):
    """A syntax: what the generator makes statements of.

    `head` switches to it. `pools` are the operands that fit a slot, `rest` those that fit none, `string` those of
    string instructions, `native` the operands to try with what the catalogue has no forms for; all in AT&T order.
    `join` writes operands, given the mnemonic and the comma. `registers` may be arguments of loops, `symbols` the
    registers that symbols stand for. What begins with `with_` are statements with an argument: `\\r` a register, in
    `with_name` without its sign, `\\s` a size suffix. `in_pieces` are the beginning of a mnemonic, its ends, and
    operands; `whole` statements that are an argument as they are.
    """

    head: str
    spellings: Mapping[str, Spelling]
    pools: Mapping[Slot, tuple[str, ...]]
    rest: tuple[str, ...]
    string: tuple[str, ...]
    native: tuple[tuple[str, ...], ...]
    prefixes: tuple[str, ...]
    ordinary: tuple[str, ...]
    join: Callable[[str, list[str], str], str]
    registers: tuple[str, ...]
    with_argument: tuple[str, ...]
    with_loop: tuple[str, ...]
    with_name: tuple[str, ...]
    in_pieces: tuple[tuple[str, str, str], ...]
    suffixes: str
    with_suffix: tuple[str, ...]
    with_symbol: tuple[str, ...]
    symbols: tuple[str, ...]
    whole: tuple[str, ...]


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

    def __init__(self, seed: int, language: Language) -> None:
        self._random, self._language = Random(seed), language
        self._any = tuple(operand for pool in (*language.pools.values(), language.rest) for operand in pool)
        # Nor does capstone know those of 64-bit mode, which GAS takes in 32-bit code.
        self._names = sorted(name for name in language.spellings
                             if not name.startswith("mov") and not name.endswith("sbase") and name not in UNDECODED)
        self._moves = [name for name in language.spellings if name.startswith("mov")]
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
            return [self._pick(self._any) for _ in range(self._random.randrange(4))]
        rows = self._language.spellings[name].rows
        forms = [form for row in rows for form in row.forms]
        if not forms:
            return [*self._random.choice(self._language.native)]
        slots = self._random.choice(forms).slots
        if rows[0].string and slots:
            return [self._pick(self._language.string), self._pick(self._language.string)]
        return [self._pick(self._language.pools[slot]) for slot in slots]

    def _spaced(self, text: str) -> str:
        """Blanks where the assembler takes them."""
        if not self._chance(5) or "'" in text:
            return text
        return text.replace("%", "% ", 1) if self._chance(30) else re.sub(r"([([+])|([])])", r"\1 \2", text)

    def sensitive(self) -> str:
        """A statement with a mnemonic of the catalogue: sensitive as a rule, and not always one that assembles."""
        name = self._random.choice(self._moves if self._chance(20) else self._names)
        operands = [self._spaced(self._cased(operand)) for operand in self._operands(name)]
        head = self._cased(name) + (self._pick(_SUFFIXES) if self._chance(2) else "")
        prefixes = [self._cased(self._pick(self._language.prefixes)) for _ in range(self._random.choice((1, 1, 2)))
                    ] if self._chance(12) else []
        gap = self._pick((" ", "\t", "  ", " \t")) if operands else ""
        comma = self._pick((",", ",", ",", ", ", " , ", "\t,"))
        if name.startswith(("vmread", "vmwrite")):
            prefixes = []  # with some of them it is another instruction, with immediates
        # A pseudo prefix must be on the instruction that it is for. A size that stands alone makes other
        # instructions of what follows than those that GAS wrote, where there is an address or an immediate.
        sizes = r"[{]|addr|a\w*word" + ("|data|word" if re.search("[$]", "".join(operands)) else "")
        alone = not name.startswith("vm") and not re.search(sizes, " ".join(prefixes), re.IGNORECASE)
        joint = "; " if alone and self._chance(20) else " "
        joint = "/" if joint == " " and self._chance(3) and "{" not in "".join(prefixes) else joint
        return f"{joint.join([*prefixes, head])}{gap}{self._language.join(name, operands, comma)}"

    def statement(self) -> str:
        """One statement."""
        self._statements += 1
        return self.sensitive() if self._chance(70) else self._pick(self._language.ordinary)

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
        name, of = f"m{self._count}", self._language
        body = "".join(self.line() for _ in range(self._random.choice((1, 1, 2))))
        kind = self._random.randrange(14)
        if kind == 0:
            return f".macro {name}\n{body}.endm\n{name}\n"
        if kind == 1:
            return f".rept {self._random.randrange(1, 3)}\n{body}.endr\n"
        if kind == 2:
            return f".if 1\n{body}.else\n{self.line()}.endif\n"
        if kind == 3:
            return f".altmacro\n{body}.noaltmacro\n"
        self._statements += 1
        if kind == 4:
            # (In 32-bit code, GAS takes %cr8 for AMD's spelling of %cr0 with lock: it stays, and traps.)
            register = self._pick(tuple(operand for operand in self._any if not operand.endswith("cr8")))
            return f".macro {name} r\n\t{self._pick(of.with_argument)}\n.endm\n\t{name} {register}\n"
        if kind == 5:
            registers = ",".join(self._random.sample(of.registers, 2))
            return f".irp r,{registers}\n\t{self._pick(of.with_loop)}\n.endr\n"
        if kind == 6:
            short = self._pick(("ds", "es", "fs", "eax", "cr0", "dr3", "cs"))
            return f".macro {name} r\n\t{self._pick(of.with_name)}\n.endm\n\t{name} {short}\n"
        if kind == 7:
            insn = self._pick(("cli", "hlt", "nop", "lret", "iret", "cpuid", "CLI", "pushf", "sti", "ret", "clc"))
            return f".macro {name} op\n\t\\op\n.endm\n\t{name} {insn}\n"
        if kind == 8:
            stem, ends, operands = self._random.choice(of.in_pieces)
            return f".irp x,{ends}\n\t{stem}\\x{operands}\n.endr\n"
        if kind == 9:
            return f".irpc c,{self._pick(('i', 'c', 'id', 'ic'))}\n\tcl\\c\n.endr\n"
        if kind == 10:
            suffix = self._pick((*of.suffixes, ""))
            return f".macro {name} s\n\t{self._pick(of.with_suffix)}\n.endm\n\t{name} {suffix}\n"
        if kind == 11:
            return f".set r{name},{self._pick(of.symbols)}\n\t{self._pick(of.with_symbol).format('r' + name)}\n"
        if kind == 12:
            return f".macro {name} all:vararg\n\t\\all\n.endm\n\t{name} {self._pick(of.whole)}\n"
        return f".macro {name} op={self._pick(('cli', 'hlt', 'nop', 'iret'))}\n\t\\op\n.endm\n\t{name}\n"
