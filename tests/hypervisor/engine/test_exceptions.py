"""Exceptions: vector, error code and where EIP points to."""

from __future__ import annotations

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.said import AC, BP, BR, DE, GP, NP, OF, SS, UD, fault, none


def test_faults_point_to_the_instruction(bare: Machine) -> None:
    said = bare("""
test:	movl $0,%ecx
	expect divide, divl %ecx
	expect undefined, ud2
	movl $-1,%eax
	expect bound, boundl %eax,bounds
	expect present, nop
	expect software, r3_int $0x50
	finish
	.data
bounds:	.long 0,10
	.text
""")
    assert said == (
        fault("divide", DE) | fault("undefined", UD) | fault("bound", BR) | none("present")
        | fault("software", 0x50, at=said["software.at"])
    )  # fmt: skip
    assert said["software.at"] > 0


def test_traps_point_behind_the_instruction(bare: Machine) -> None:
    said = bare("""
test:	expect breakpoint, r3_int3
	movb $0x7f,%al
	incb %al
	expect overflow, r3_into
	movb $0x7f,%al
	addb $0,%al
	expect no_overflow, r3_into
	finish
""")
    assert said["breakpoint"] == BP and said["breakpoint.at"] > 0
    assert said["overflow"] == OF and said["overflow.at"] > 0
    assert none("no_overflow").items() <= said.items()


def test_native_breakpoint_points_behind_itself(bare: Machine) -> None:
    """int3 and int $n in code that was not ported: user programs of another build."""
    said = bare("""
test:	expect breakpoint, int3
	expect number, int $0x50
	expect linux, int $0x80
	finish
""")
    assert said == fault("breakpoint", BP, at=1) | fault("number", 0x50, at=2) | fault("linux", 0x80, at=2)


def test_interrupts_beyond_the_table(bare: Machine) -> None:
    """A gate that is absent or beyond the limit: #GP or #NP with the vector's error code (SDM vol. 3, 6.13)."""
    said = bare("""
test:	movw $8*0x60-1,idt_pointer
	r3_lidt idt_pointer
	expect beyond, r3_int $0x60
	movw $0,idt+8*0x50+4
	expect empty, r3_int $0x50
	movw $0x0e00,idt+8*0x50+4
	expect absent, r3_int $0x50
	movw $0x8500,idt+8*0x50+4
	expect task, r3_int $0x50
	movw $0x8e00,idt+8*3+4
	expect breakpoint, r3_int3
	finish
""")
    assert said["beyond"] == GP and said["beyond.error"] == 0x60 * 8 + 2 and said["beyond.at"] == 0
    assert said["empty"] == GP and said["empty.error"] == 0x50 * 8 + 2 and said["empty.at"] == 0
    assert said["absent"] == NP and said["absent.error"] == 0x50 * 8 + 2 and said["absent.at"] == 0
    assert said["breakpoint"] == BP


def test_handler_frame_and_return(bare: Machine) -> None:
    """A handler sees EIP, CS and EFLAGS; iret restores all of them."""
    said = bare("""
test:	gate 0x50, handler
	r3_sti
	stc
	r3_int $0x50
	pushfl
	popl %eax
	andl $1,%eax
	say carry, %eax
	r3_pushf
	popl %eax
	andl $0x200,%eax
	say if_after, %eax
	finish
handler:
	pushl %eax
	r3_pushf
	popl %eax
	andl $0x200,%eax
	say if_inside, %eax
	movl 8(%esp),%eax
	say cs, %eax
	movl 12(%esp),%eax
	andl $0x201,%eax
	say flags, %eax
	popl %eax
	clc
	r3_iret
""")
    assert said == {"if_inside": 0, "cs": 8, "flags": 0x201, "carry": 1, "if_after": 0x200}


def test_interrupt_gates_clear_the_flag_and_trap_gates_do_not(bare: Machine) -> None:
    said = bare("""
test:	gate 0x50, interrupt
	gate 0x51, trapgate, 0x8f00
	r3_sti
	r3_int $0x50
	r3_int $0x51
	finish
interrupt:
	r3_pushf
	popl %eax
	andl $0x200,%eax
	say interrupt, %eax
	r3_iret
trapgate:
	r3_pushf
	popl %eax
	andl $0x200,%eax
	say trap, %eax
	r3_iret
""")
    assert said == {"interrupt": 0, "trap": 0x200}


def test_single_step(bare: Machine) -> None:
    """TF set by popf: #DB after each instruction behind it, with the flag clear in the handler."""
    said = bare("""
test:	gate 1, step
	xorl %ecx,%ecx
	pushl $0x102
	popfl
	incl %ecx
	incl %ecx
	incl %ecx
	nop
	say steps, steps
	say counts_by_step, counts
	say status, status
	say flag_inside, flag_inside
	finish
step:	pushl %eax
	r3_pushf
	popl %eax
	andl $0x100,%eax
	orl %eax,flag_inside
	movl steps,%eax
	movb %cl,counts(%eax)
	incl steps
	cmpl $3,steps
	jne 1f
	andl $~0x100,12(%esp)
	r3_read_dr6 %eax
	andl $0x4000,%eax
	movl %eax,status
1:	popl %eax
	r3_iret
	.data
steps:	.long 0
counts:	.long 0
status:	.long 0
flag_inside: .long 0
	.text
""")
    assert said == {"steps": 3, "counts_by_step": 0x030201, "status": 0x4000, "flag_inside": 0}


def test_double_fault(bare: Machine) -> None:
    """A contributory fault while another is delivered."""
    said = bare("""
test:	movw $0,idt+8*13+4
	xorl %ecx,%ecx
	movw $0,idt+4
	expect double, divl %ecx
	finish
""")
    assert said == fault("double", 8)


def test_stack_segment_limit(bare: Machine) -> None:
    """Beyond the stack segment's limit it is #SS, elsewhere #GP; the contract's own data stays in reach."""
    said = bare("""
test:	movl $0x000001ff,gdt+FREE
	movl $0x00c09200,gdt+FREE+4
	r3_lgdt gdt_pointer
	movl $FREE,%eax
	r3_load_ss %ax
	expect read, movl %ss:0x200000,%eax
	expect write, movl %eax,%ss:0x1ffffe
	movl $0x300000,%ebp
	expect frame, incl (%ebp)
	r3_sti
	r3_pushf
	popl %ebx
	andl $0x200,%ebx
	r3_cli
	say if, %ebx
	finish
""")
    assert said == fault("read", SS) | fault("write", SS) | fault("frame", SS) | {"if": 0x200}


def test_alignment_check_in_ring_3_only(bare: Machine) -> None:
    said = bare("""
test:	r3_read_cr0 %eax
	orl $0x40000,%eax
	r3_write_cr0 %eax
	pushl $0x40002
	r3_popf
	expect ring0, movl tss+1,%eax
	pushl $2
	r3_popf
	in_ring_3 harmless, nop
	movl %esp,trap_esp
	movl $1f,trap_resume
	user $aligned, flags=$0x40202
aligned:
	movl tss+1,%eax
	r3_int $0x40
1:	movl $0,trap_resume
	say ring3, trap_vector
	finish
""")
    assert none("ring0").items() <= said.items()
    assert (said["harmless"], said["ring3"]) == (0x40, AC)
