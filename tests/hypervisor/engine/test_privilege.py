"""Rings: what user code may do, how it comes into the kernel and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.said import GP, NP, UD, fault

PRIVILEGED = {
    "cli": "cli", "sti": "sti", "hlt": "hlt", "in": "inb $0x61,%al", "out": "outb %al,$0x80", "insb": "insb",
    "read_cr0": "movl %cr0,%eax", "write_cr3": "movl %eax,%cr3", "lgdt": "lgdt gdt_pointer", "lidt": "lidt idt_pointer",
    "ltr": "ltr %ax", "lldt": "lldt %ax", "clts": "clts", "invlpg": "invlpg (%eax)", "wbinvd": "wbinvd",
    "rdmsr": "rdmsr", "lmsw": "lmsw %ax", "read_dr7": "movl %dr7,%eax", "sysexit": "sysexit",
}  # fmt: skip


@pytest.mark.parametrize("name", PRIVILEGED)
def test_user_code_may_not(bare: Machine, name: str) -> None:
    said = bare(f"test:	in_ring_3 {name}, {PRIVILEGED[name]}\n	finish")
    assert said == fault(name, GP, 0)


def test_gates_of_the_hypervisor_check_the_ring(bare: Machine) -> None:
    """The same through the gates, which user code can reach as well as the kernel."""
    said = bare("""
test:	in_ring_3 cr3, r3_write_cr3 %eax
	in_ring_3 lgdt, r3_lgdt gdt_pointer
	in_ring_3 hlt, r3_hlt
	in_ring_3 in, r3_in $0x61,%al
	in_ring_3 rdmsr, r3_rdmsr
	in_ring_3 user_load, r3_load_ds %eax
	finish
""")
    for name in ("cr3", "lgdt", "hlt", "in", "rdmsr"):
        assert (said[name], said[f"{name}.error"]) == (GP, 0), name


def test_interrupts_of_user_code(bare: Machine) -> None:
    """int $n enters through gates of DPL 3 only; the stack comes from the TSS."""
    said = bare("""
test:	in_ring_3 allowed, nop
	say cs, trap_cs
	say ss, trap_user_ss
	movl $stack_top-8192,%eax
	subl trap_user_esp,%eax
	say esp, %eax
	in_ring_3 refused, r3_int $0x50
	in_ring_3 native, int $0x51
	in_ring_3 linux, int $0x80
	in_ring_3 undefined, ud2
	gate 0x60, kernel, 0xee00
	user $1f
1:	movl $0x1234,%ebx
	stc
	r3_int $0x60
	setc carry
	r3_int $0x40
2:	say carry, carry
	say ebx, %ebx
	finish
kernel:	say inside_cs, 4(%esp)
	movl %esp,%eax
	subl $stack_top-4096-20,%eax
	say kernel_stack, %eax
	r3_store_ss %eax
	say inside_ss, %eax
	movl $2b,trap_resume
	movl $stack_top,trap_esp
	movl $KERNEL_DS,%eax
	r3_load_ds %eax
	incl %ebx
	movl $USER_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	r3_iret
	.data
carry:	.long 0
	.text
""")
    assert said["allowed"] == 0x40
    assert (said["cs"], said["ss"], said["esp"]) == (0x1B, 0x23, 0)
    assert (said["refused"], said["refused.error"], said["refused.at"]) == (GP, 0x50 * 8 + 2, 0)
    assert (said["native"], said["native.error"], said["native.at"]) == (GP, 0x51 * 8 + 2, 0)
    assert (said["linux"], said["linux.error"], said["linux.at"]) == (GP, 0x80 * 8 + 2, 0)
    assert said["undefined"] == UD
    assert (said["inside_cs"], said["inside_ss"], said["kernel_stack"]) == (0x1B, 0x10, 0)
    assert (said["carry"], said["ebx"]) == (1, 0x1235)


def test_refused_traps_point_to_the_instruction(bare: Machine) -> None:
    """int3 and into of user code where the gate is the kernel's alone."""
    said = bare("""
test:	in_ring_3 breakpoint, int3
	in_ring_3 two_bytes, int $3
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	movb $0x7f,%al
	addb $1,%al
3:	into
	r3_int $0x40
2:	movl $0,trap_resume
	subl $3b,trap_eip
	say overflow, trap_vector
	say overflow.error, trap_error
	say overflow.at, trap_eip
	finish
""")
    assert said == fault("breakpoint", GP, 26) | fault("two_bytes", GP, 26) | fault("overflow", GP, 34)


def test_io_privilege_level_3(bare: Machine) -> None:
    """With IOPL 3, user code may use ports and the interrupt flag."""
    said = bare("""
test:	movl $2f,trap_resume
	movl %esp,trap_esp
	user $1f, flags=$0x3202
1:	cli
	pushfl
	popl %esi
	sti
	pushfl
	popl %edi
	inb $0x61,%al
	r3_int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	finish
""")
    assert said == {"vector": 0x40}


def test_io_bitmap(bare: Machine) -> None:
    said = bare("""
test:	movw $bitmap-tss,tss+102
	movw $bitmap-tss+32,gdt+TSS
	movb $0x89,gdt+TSS+5
	movb $0xfd,bitmap+0x60/8
	movl $TSS,%eax
	r3_ltr %ax
	in_ring_3 open, inb $0x61,%al
	in_ring_3 closed, inb $0x60,%al
	in_ring_3 wide, inw $0x61,%ax
	in_ring_3 last, inb $0xff,%al
	movl $0x100,%edx
	in_ring_3 beyond, inb %dx,%al
	finish
	.data
bitmap:	.fill 0x60/8,1,255
	.byte 255
	.fill 256,1,0
	.text
""")
    found = {name: said[name] for name in ("open", "closed", "wide", "last", "beyond")}
    assert found == {"open": 0x40, "closed": GP, "wide": GP, "last": 0x40, "beyond": GP}


def test_returns_inward_are_refused(bare: Machine) -> None:
    said = bare("""
test:	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	pushl $0x202
	pushl $KERNEL_CS
	pushl $1b
	iretl
2:	movl $0,trap_resume
	say inward, trap_vector
	say inward.error, trap_error
	pushl $0x202
	pushl $KERNEL_DS
	pushl $test
	movl $3f,trap_resume
	r3_iret
3:	movl $0,trap_resume
	movl $stack_top,%esp
	say data, trap_vector
	say data.error, trap_error
	finish
""")
    assert said == {"inward": GP, "inward.error": 8, "data": GP, "data.error": 0x10}


def test_data_segments_are_taken_from_user_code(bare: Machine) -> None:
    """A return to ring 3 makes kernel data segments null."""
    said = bare("""
test:	movl %esp,trap_esp
	movl $2f,trap_resume
	pushl $USER_DS
	pushl $stack_top-8192
	pushl $0x202
	pushl $USER_CS
	pushl $1f
	r3_iret
1:	movl tss,%eax
	r3_int $0x40
2:	movl $0,trap_resume
	say through_null, trap_vector
	finish
""")
    assert said == {"through_null": GP}


def test_sysenter_and_sysexit(bare: Machine) -> None:
    said = bare("""
test:	movl $0x174,%ecx
	movl $KERNEL_CS,%eax
	xorl %edx,%edx
	r3_wrmsr
	movl $0x175,%ecx
	movl $stack_top-4096,%eax
	r3_wrmsr
	movl $0x176,%ecx
	movl $entered,%eax
	r3_wrmsr
	xorl %eax,%eax
	movl $0x176,%ecx
	r3_rdmsr
	subl $entered,%eax
	say eip, %eax
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	movl $0x12345678,%ebx
	r3_sysenter
left:	r3_int $0x40
entered:
	r3_store_cs %eax
	say cs, %eax
	r3_store_ss %eax
	say ss, %eax
	r3_pushf
	popl %eax
	andl $0x200,%eax
	say if, %eax
	say ebx, %ebx
	movl $stack_top-8192,%ecx
	movl $left,%edx
	r3_sysexit
2:	movl $0,trap_resume
	say back, trap_vector
	say back_cs, trap_cs
	finish
""")
    assert said == {"eip": 0, "cs": 8, "ss": 0x10, "if": 0, "ebx": 0x12345678, "back": 0x40, "back_cs": 0x1B}


SYSENTER = """
.macro msr number:req, value:req
	movl $\\number,%ecx
	movl \\value,%eax
	xorl %edx,%edx
	r3_wrmsr
.endm
"""


@pytest.mark.skipif("AuthenticAMD" not in Path("/proc/cpuinfo").read_text(),
                    reason="other processors let it into the host's kernel, where it is refused")  # fmt: skip
def test_sysenter_of_unported_programs(bare: Machine) -> None:
    """A user program of another build, at a place that no search for code finds."""
    said = bare(SYSENTER + """
test:	msr 0x174, $KERNEL_CS
	msr 0x175, $stack_top-4096
	msr 0x176, $entered
	movl $0x340f9090,0x300000
	movl $0xabcd,%ebx
	user $0x300000
entered: call kernel_data
	r3_store_cs %eax
	say cs, %eax
	say ebx, %ebx
	finish
""")
    assert said == {"cs": 8, "ebx": 0xABCD}


def test_sysenter_needs_no_stack(pc: Machine) -> None:
    """It pushes nothing, so ESP may be anything, and comes back as ECX says."""
    said = pc(SYSENTER + """
test:	msr 0x174, $KERNEL_CS
	msr 0x175, $stack_top-4096
	msr 0x176, $entered
	movl $100,%ebx
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	xorl %esp,%esp
	r3_sysenter
entered: movl $1b,%edx
	movl $0x1234,%ecx
	decl %ebx
	jnz 3f
	movl $4f,%edx
3:	r3_sysexit
4:	r3_int $0x40
2:	say vector, trap_vector
	say esp, trap_user_esp
	say ebx, %ebx
	finish
""")
    assert said == {"vector": 0x40, "esp": 0x1234, "ebx": 0}


def test_sysenter_is_refused_without_its_segment(pc: Machine) -> None:
    """IA32_SYSENTER_CS null: #GP(0), in every ring."""
    said = pc(SYSENTER + """
test:	msr 0x174, $0
	expect kernel, r3_sysenter
	in_ring_3 user, r3_sysenter
	clc
	jc 1f
	expect exit, r3_sysexit
1:	finish
""")
    assert said == fault("kernel", GP, 0) | fault("user", GP, 0) | fault("exit", GP, 0)


def test_absent_gate_segment(bare: Machine) -> None:
    said = bare("""
test:	movl $0x0000ffff,gdt+FREE
	movl $0x00cf1a00,gdt+FREE+4
	movw $FREE,idt+8*0x50+2
	expect absent, r3_int $0x50
	movw $0,idt+8*0x51+2
	expect null, r3_int $0x51
	movw $KERNEL_DS,idt+8*0x52+2
	expect data, r3_int $0x52
	finish
""")
    assert said == fault("absent", NP, 0x30) | fault("null", GP, 0) | fault("data", GP, 0x10)
