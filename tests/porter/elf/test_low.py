"""Kernels that run where they were loaded until they have page tables, and then where they are linked."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.binary.image import load
from porter.elf.port import port
from porter.elf.write import elf_file
from tests.hypervisor.cli.commands import ring3
from tests.porter.compiled import kernel

pytestmark = pytest.mark.usefixtures("monitor")

_SCRIPT = "ENTRY(start_loaded) SECTIONS { .text 0xc0101000 : AT(ADDR(.text) - 0xc0000000) { *(.text) } " \
          ".data : AT(ADDR(.data) - 0xc0000000) { *(.data) } start_loaded = start - 0xc0000000; }"
# `say` runs at both addresses: it prints which of them its own call pushes, L below 2 GiB, H above.
_SOURCE = """
	.long 0x1badb002, 0, -0x1badb002
	.globl start
	.type start, @function
start:	cli
	movl $stack - 0xc0000000, %esp
	call say
	movl $0x200000, %edi
	xorl %eax, %eax
	movl $1024, %ecx
	rep stosl
	movl $0x83, 0x200000
	movl $0x83, 0x200c00
	movl %cr4, %eax
	orl $0x10, %eax
	movl %eax, %cr4
	movl $0x200000, %eax
	movl %eax, %cr3
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	movl $high, %eax
	jmp *%eax
	.type high, @function
high:	movl $stack, %esp
	call say
	movl $say, %eax
	call *%eax
	movl %cr0, %eax
	andl $0x7fffffff, %eax
	movl $1f - 0xc0000000, %ebx
	jmp *%ebx
1:	movl %eax, %cr0
	movl $stack - 0xc0000000, %esp
	movl $say - 0xc0000000, %eax
	call *%eax
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
2:	jmp 2b
	.type say, @function
say:	cli
	nop
	call where
	movw $0x3f8, %dx
	outb %al, %dx
	pushfl
	popl %ecx
	movl %cr3, %eax
	ret
	.type where, @function
where:	movl (%esp), %eax
	shrl $31, %eax
	negl %eax
	leal 'L'(,%eax,4), %eax
	ret
	.data
	.fill 256
stack:
"""


def test_code_that_runs_at_both_addresses(tmp_path: Path) -> None:
    path, target = kernel(tmp_path, _SOURCE, script=_SCRIPT), tmp_path / "ported.elf"
    ported = port(load(path), lines=False)
    assert ported.port.cells
    say = [one for one in ported.decisions if one.site.symbol and one.site.symbol[0] == "say"]
    assert {one.site.text: one.treatment for one in say} == {
        "cli": "ported", "out dx, al": "ported", "pushfd": "ported", "mov eax, cr3": "ported"}  # fmt: skip
    target.write_bytes(elf_file(ported))
    for arguments in ((target,), ("--port", path), ("--unported", path), ("--slide", target)):
        assert ring3("run", *arguments, "--timeout", "10").stdout == b"LHHL", arguments


@pytest.mark.parametrize("room", ["ret; .fill 7, 1, 0x90", ".rept 3; movl $1, %edx; .endr; ret"],
                         ids=["padding", "made"])
def test_an_island_in_code_that_runs_at_both_addresses(tmp_path: Path, room: str) -> None:
    """Two bytes are free, and there are seven nearby."""
    source = _SOURCE.replace("say:\tcli\n\tnop\n", "say:\tcli\n\tnop\n3:\ttestb %al, %al\n")
    source = source.replace("movl %cr3, %eax\n\tret", f"movl %cr3, %eax\n\torb $1, %al\n\tjz 3b\n\t{room}")
    path = kernel(tmp_path, source, script=_SCRIPT)
    say = [one for one in port(load(path), lines=False).decisions if one.site.symbol and one.site.symbol[0] == "say"]
    assert {one.site.text: one.choice.tactic for one in say}["cli"] == "island"
    for arguments in (("--port", path), ("--unported", path), ("--port", "--slide", path)):
        assert ring3("run", *arguments, "--timeout", "10").stdout == b"LHHL", arguments


# `window` is called at both addresses. High, an interrupt is pending: the instruction behind `sti` runs before it.
_SHADOW = """
	.type high, @function
high:	movl $stack, %esp
	movl $tick, %eax
	movw %ax, idt + 0x20 * 8
	shrl $16, %eax
	movw %ax, idt + 0x20 * 8 + 6
	movw %cs, idt + 0x20 * 8 + 2
	movw $0x8e00, idt + 0x20 * 8 + 4
	lidt pointer
	movb $0x11, %al
	outb %al, $0x20
	movb $0x20, %al
	outb %al, $0x21
	movb $4, %al
	outb %al, $0x21
	movb $1, %al
	outb %al, $0x21
	movb $0xfe, %al
	outb %al, $0x21
	movb $0x30, %al
	outb %al, $0x43
	movb $0x10, %al
	outb %al, $0x40
	movb $0, %al
	outb %al, $0x40
	movb $0x0a, %al
	outb %al, $0x20
1:	inb $0x20, %al
	testb $1, %al
	jz 1b
	movl $1, %eax
	call window
	leal 'A'(%ebx), %eax
	movw $0x3f8, %dx
	outb %al, %dx
	movl ticks, %eax
	addl $'A', %eax
	outb %al, %dx
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
2:	jmp 2b
	.type tick, @function
tick:	incl ticks
	iret
	.type say, @function
say:	xorl %eax, %eax
window:	testl %eax, %eax
	jz 2f
	nop
	nop
	sti
2:	movl %cs:ticks - 0xc0000000, %ebx
	nop
	cli
	nop
	ret
	.data
ticks:	.long 0
	.align 8
idt:	.fill 0x21 * 8
pointer: .word 0x21 * 8 - 1
	.long idt
	.fill 256
stack:
"""


def test_the_shadow_of_sti_in_code_that_runs_at_both(tmp_path: Path) -> None:
    """The indirect jump into the next trampoline is no instruction of the guest's."""
    source = _SOURCE[: _SOURCE.index("\t.type high")] + _SHADOW
    path = kernel(tmp_path, source, script=_SCRIPT)
    ported = port(load(path), lines=False)
    sites = {one.site.text: one.choice.tactic for one in ported.decisions if one.site.symbol[0] in ("window", "say")}
    assert sites == {"sti": "jump", "cli": "jump"} and len(ported.port.cells) >= 2
    for arguments in (("--unported", path), ("--port", path)):
        assert ring3("run", *arguments, "--timeout", "10").stdout == b"AB", arguments
