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
