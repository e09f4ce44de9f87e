"""Kernels made at random whose code is shuffled with data, and of which every byte is known to be one or the other.

A kernel runs its functions in an order of its own, mixes what the instructions tell into a sum, prints the sum after
each function, and in the end that of its data. So a patch in data, a wrong neighbour, a wrong address in an exception
frame or a wrong flag each change what it prints.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

_PROLOGUE = """
	.text
	.long 0x1badb002, 0, -0x1badb002
	.globl start
	.type start, @function
start:	movl $stack_end, %esp
	lgdt gdt_pointer
	ljmp $8, $1f
1:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	movb $0xff, %al
	outb %al, $0x21
	outb %al, $0xa1
	movl $on_divide, %eax
	movw %ax, idt
	shrl $16, %eax
	movw %ax, idt + 6
	movl $on_int, %eax
	movw %ax, idt + 64 * 8
	shrl $16, %eax
	movw %ax, idt + 64 * 8 + 6
	lidt idt_pointer
	movl $0x12345678, sum
	xorl %eax, %eax
	xorl %ebx, %ebx
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %esi, %esi
	xorl %edi, %edi
"""
_EPILOGUE = """
	movl $data_ranges, %ebx
1:	movl (%ebx), %esi
	movl 4(%ebx), %ecx
	testl %esi, %esi
	jz 3f
2:	movzbl (%esi), %eax
	call mix
	incl %esi
	decl %ecx
	jnz 2b
	addl $8, %ebx
	jmp 1b
3:	call print_sum
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
4:	jmp 4b

	.type mix, @function
mix:	pushl %edx
	movl sum, %edx
	xorl %eax, %edx
	imull $0x01000193, %edx, %edx
	roll $5, %edx
	movl %edx, sum
	popl %edx
	ret

	.type print_sum, @function
print_sum:
	movl sum, %ebp
	movl $8, %ecx
1:	roll $4, %ebp
	movl %ebp, %eax
	andl $15, %eax
	movb digits(%eax), %al
	movw $0x3f8, %dx
	outb %al, %dx
	loop 1b
	movb $10, %al
	outb %al, %dx
	ret

	.type on_int, @function
on_int:	pushl %eax
	movl 4(%esp), %eax
	call mix
	movl 12(%esp), %eax
	andl $0x3700, %eax
	call mix
	popl %eax
	iret

	.type on_divide, @function
on_divide:
	pushl %eax
	movl 4(%esp), %eax
	call mix
	addl $2, 4(%esp)
	popl %eax
	iret
	.type die, @function
die:	cli
1:	hlt
	jmp 1b
"""
_DATA = """
	.data
	.align 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word 31
	.long gdt
	.align 8
idt:
	.rept 65
	.quad 0x00008e0000080000
	.endr
idt_pointer:
	.word 65 * 8 - 1
	.long idt
digits:	.ascii "0123456789abcdef"
	.align 4
sum:	.long 0
scratch: .fill 64, 1, 0x5a
	.bss
	.align 16
	.fill 8192
stack_end:
"""

LATER = 300_000


@dataclass
class Shuffled:
    """One kernel: its source, and the names of the labels that begin and end its data in ``.text``."""

    source: str
    data: list[tuple[str, str]]
    functions: int


@dataclass
class _Maker:
    random: random.Random
    lines: list[str] = field(default_factory=list)
    data: list[tuple[str, str]] = field(default_factory=list)
    label: int = 0

    def new(self, kind: str) -> str:
        self.label += 1
        return f"{kind}{self.label}"

    def say(self, *lines: str) -> None:
        self.lines += [line if line.endswith(":") else f"\t{line}" for line in lines]

    def register(self) -> str:
        return self.random.choice(("eax", "ecx", "edx", "ebx", "esi", "edi"))

    def mixed(self, register: str) -> None:
        """Mix a register into the sum; it is kept."""
        if register == "eax":
            self.say("call mix")
        else:
            self.say("pushl %eax", f"movl %{register}, %eax", "call mix", "popl %eax")


def _plain(make: _Maker) -> None:
    one, other = make.register(), make.register()
    make.say(make.random.choice((
        f"addl %{one}, %{other}", f"xorl ${make.random.getrandbits(7)}, %{one}", f"leal 4(%{one},%{other}), %{one}",
        f"movl ${make.random.getrandbits(32):#x}, %{one}", f"imull ${make.random.getrandbits(20)}, %{one}, %{other}",
        f"movl %{one}, scratch+8", f"addl scratch+8, %{one}", f"incl %{one}", "nop", f"pushl %{one}\n\tpopl %{other}",
    )))  # fmt: skip


def _flags(make: _Maker) -> None:
    register = make.register()
    make.say(make.random.choice(("clc", "stc", f"testl %{register}, %{register}", f"cmpl $7, %{register}")), "pushfl",
             f"popl %{register}", f"andl $0x201, %{register}")  # fmt: skip
    make.mixed(register)


def _interrupt_flag(make: _Maker) -> None:
    make.say(make.random.choice(("cli", "sti", "pushl $0x202\n\tpopfl", "pushl $2\n\tpopfl", "cli\n\tsti\n\tcli")))
    if make.random.random() < 0.5:
        register = make.register()
        make.say("pushfl", f"popl %{register}", f"andl $0x200, %{register}")
        make.mixed(register)


def _segment(make: _Maker) -> None:
    register = make.register()
    make.say(make.random.choice((
        f"movl %ds, %{register}", f"movl %cs, %{register}", f"pushl %es\n\tpopl %{register}",
        f"movl $16, %{register}\n\tmovl %{register}, %es", f"movl $24, %{register}\n\tmovl %{register}, %fs",
        f"pushl %fs\n\tpopl %gs\n\tmovl %gs, %{register}", f"movl $16, %{register}\n\tlarl %{register}, %{register}",
        f"movl $8, %{register}\n\tlsll %{register}, %{register}", f"movw %es, scratch\n\tmovzwl scratch, %{register}",
    )))  # fmt: skip
    make.say(f"movzwl %{register[1:]}, %{register}")
    make.mixed(register)


def _tables(make: _Maker) -> None:
    make.say(make.random.choice(("sgdt scratch+16", "sidt scratch+16", "smsw scratch+16", "sldt scratch+16")),
             "movzwl scratch+16, %eax")  # fmt: skip
    make.mixed("eax")


def _control(make: _Maker) -> None:
    register = make.register()
    value = make.random.getrandbits(32)
    make.say(make.random.choice((
        f"movl $0x{value:x}, %{register}\n\tmovl %{register}, %cr2\n\tmovl %cr2, %{register}",
        f"movl %cr0, %{register}\n\tandl $1, %{register}", f"movl %cr3, %{register}", "clts",
    )))  # fmt: skip
    make.mixed(register)


def _ports(make: _Maker) -> None:
    make.say(make.random.choice((
        "outb %al, $0x80", "movw $0x80, %dx\n\toutb %al, %dx", "inb $0x21, %al\n\tandl $0xff, %eax\n\tcall mix",
        "movw $0xa1, %dx\n\tinb %dx, %al\n\tandl $0xff, %eax\n\tcall mix",
    )))  # fmt: skip


def _interrupt(make: _Maker) -> None:
    make.say("int $0x40")


def _fault(make: _Maker) -> None:
    """A divide error, which the handler skips, behind or in front of something that is ported."""
    fault = "xorl %ecx, %ecx\n\tdivl %ecx"
    make.say(*make.random.choice(((fault,), ("cli", fault), (fault, "pushfl", "popl %esi"), ("cli", fault, "sti"))))


def _branch(make: _Maker) -> None:
    """A way around, or a loop, whose ends lie right at something that is ported."""
    target, register = make.new("branch"), make.register()
    if make.random.random() < 0.5:
        make.say(f"testl $1, %{register}", f"{make.random.choice(('jz', 'jnz', 'js'))} {target}")
        make.random.choice(_SENSITIVE)(make)
        make.say(f"{target}:")
        make.random.choice(_SENSITIVE)(make)
    else:
        make.say("movl $3, %ebp", f"{target}:")
        make.random.choice(_SENSITIVE)(make)
        make.say("decl %ebp", f"jnz {target}")


def _switch(make: _Maker) -> None:
    table, end = make.new("table"), make.new("end")
    cases = [make.new("case") for _ in range(make.random.randint(2, 5))]
    make.say("andl $0xff, %eax", "xorl %edx, %edx", f"movl ${len(cases)}, %ecx", "divl %ecx",
             f"jmp *{table}(,%edx,4)")  # fmt: skip
    _blob(make, f"{table}:\n\t.long " + ", ".join(cases))
    for case in cases:
        make.say(f"{case}:")
        make.random.choice(_SENSITIVE)(make)
        make.say(f"jmp {end}")
    make.say(f"{end}:")


def _no_return(make: _Maker) -> None:
    """A call that does not come back, with data behind it."""
    over = make.new("over")
    make.say("testl %esp, %esp", f"jnz {over}", "call die")
    _blob(make)
    make.say(f"{over}:")


def _out_of_line(make: _Maker) -> None:
    """Others branch to something that is ported and to what is behind it, as compilers lay out what seldom runs."""
    ported, behind, aside, end = (make.new(kind) for kind in ("ported", "behind", "aside", "end"))
    register = make.register()
    make.say(f"testl $1, %{register}", f"jnz {aside}", f"testl $2, %{register}", f"jz {behind}", f"{ported}:")
    make.random.choice((_interrupt_flag, _ports, _flags))(make)
    make.say(f"{behind}:")
    _plain(make)
    make.say(f"jmp {end}")
    if make.random.random() < 0.5:
        _blob(make)
    make.say(f"{aside}:")
    make.random.choice(_ALL)(make)
    make.say(f"testl $4, %{register}", f"jz {behind}", f"jmp {ported}", f"{end}:")


_SENSITIVE: list[Callable[[_Maker], None]] = [_flags, _interrupt_flag, _segment, _tables, _control, _ports, _interrupt]
_ALL = [*_SENSITIVE, *_SENSITIVE, _plain, _plain, _plain, _fault, _branch, _branch, _switch, _no_return]
_LATER = [*_ALL, _out_of_line, _out_of_line, _out_of_line]


def _blob(make: _Maker, text: str = "") -> None:
    """Data among the code: random bytes, bytes that look like instructions, text, or pointers."""
    start, end = make.new("data"), make.new("data_end")
    make.data.append((start, end))
    make.say(f"{start}:")
    kind = make.random.randrange(4)
    size = make.random.randint(1, 40)
    if text:
        make.lines += text.splitlines()
    elif kind == 0:
        make.say(".byte " + ", ".join(str(make.random.getrandbits(8)) for _ in range(size)))
    elif kind == 1:
        likely = b"\x9c\x9d\xfa\xfb\x0f\x01\x1e\x06\x8e\xd8\xee\xec\xc3\x90\x55\x89\xe5\x5d"
        make.say(".byte " + ", ".join(str(make.random.choice(likely)) for _ in range(size)))
    elif kind == 2:
        make.say('.ascii "' + "".join(make.random.choice("abcdefgh ijklm nopq") for _ in range(size)) + '\\0"')
    else:
        make.say(".long " + ", ".join(make.random.choice(("start", "mix", "gdt", "scratch", "on_int", "0", "1"))
                                      for _ in range(size // 8 + 1)))  # fmt: skip
    make.say(f"{end}:")


def shuffled(seed: int) -> Shuffled:
    """The kernel of a seed. From LATER on, kernels have more in them; the others stay as they have always been, for
    some are kept for what they once showed."""
    later = seed >= LATER
    make = _Maker(random.Random(seed))
    count = make.random.randint(3, 10)
    names = [f"function{number}" for number in range(count)]
    make.lines.append(_PROLOGUE)
    for number, name in enumerate(names):
        if make.random.random() < 0.7:
            make.say(f"call {name}")
        else:
            make.say(f"movl ${number}, %eax", "call *pointers(,%eax,4)")
        make.say("call print_sum")
    make.lines.append(_EPILOGUE)
    for name in names:
        if make.random.random() < 0.7:
            _blob(make)
        if make.random.random() < 0.5:
            make.say(f".balign {make.random.choice((4, 16))}, 0x90")
        make.say(f".type {name}, @function", f"{name}:")
        framed = later and make.random.random() < 0.4
        if framed:
            make.say("pushl %ebp", "movl %esp, %ebp")
        for _ in range(make.random.randint(2, 12)):
            make.random.choice(_LATER if later else _ALL)(make)
        make.say("cli", *(("popl %ebp",) if framed else ()), "ret")
    ranges = "".join(f"\t.long {start}, {end} - {start}\n" for start, end in make.data)
    data = _DATA
    pointers = "\t.data\n\t.align 4\npointers:\n" + "".join(f"\t.long {name}\n" for name in names)
    if later:  # a table of functions and their descriptions
        described = [f"\t.long {make.random.choice(names)}, {make.random.choice(make.data)[0]}\n" for _ in make.data]
        pointers += "".join(described)
    source = "\n".join([*make.lines, data, pointers, "\t.data\n\t.align 4\ndata_ranges:\n", ranges, "\t.long 0, 0\n"])
    return Shuffled(source, make.data, count)
