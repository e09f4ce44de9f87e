"""Hardware tasks: what a switch saves and loads, how tasks nest, and which faults are whose."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import TASKS
from tests.hypervisor.engine.said import DB, DF, GP, NP, SS, TS, fault, none

OLD, NEW = 0x28, 0x30  # the selectors of the prelude's TSS and of the first free descriptor
FREE_TSS, BUSY_TSS = 9, 0xB


def test_jump_to_a_task(pc: Machine) -> None:
    """What the old task had is in its TSS, what the new one has comes from its own."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	movl $0x11111111,%ebp
	movl $0x22222222,%esi
	movl %esp,before
	stc
	r3_ljmp $FREE,$0x12345678
back:	pushfl
	popl carry
	movl %esp,%eax
	subl before,%eax
	say esp, %eax
	say esi, %esi
	andl $1,carry
	say carry, carry
	r3_str %eax
	say back_tr, %eax
	busy back_old, TSS
	busy back_new, FREE
	say saved_ebx, other+EBX
	finish
arrived: say eax, %eax
	say ecx, %ecx
	say edx, %edx
	say ebx, %ebx
	say ebp, %ebp
	say edi, %edi
	movl $other,%eax
	subl %esp,%eax
	say new_esp, %eax
	r3_str %eax
	say tr, %eax
	busy old, TSS
	busy new, FREE
	r3_read_cr0 %eax
	andl $8,%eax
	say ts, %eax
	r3_clts
	pushfl
	popl %eax
	andl $0x4001,%eax
	say flags, %eax
	movzwl other+LINK,%eax
	say link, %eax
	movl tss+EFLAGS,%eax
	andl $0x4001,%eax
	say saved_flags, %eax
	say saved_ebp, tss+EBX+8
	movzwl tss+CS,%eax
	say saved_cs, %eax
	movzwl tss+DS,%eax
	say saved_ds, %eax
	movl $back,tss+EIP
	movl $0x77777777,%ebx
	r3_ljmp $TSS,$0
	.data
before:	.long 0
carry:	.long 0
	.text
""")
    assert said == {
        "eax": 0xA0A0A0A0, "ecx": 0xC1C1C1C1, "edx": 0xD2D2D2D2, "ebx": 0xB3B3B3B3, "ebp": 0xB5B5B5B5,
        "edi": 0x57575757, "new_esp": 0, "tr": NEW, "old": FREE_TSS, "new": BUSY_TSS, "ts": 8, "flags": 0, "link": 0,
        "saved_flags": 1, "saved_ebp": 0x11111111, "saved_cs": 8, "saved_ds": 0x10,
        "esp": 0, "esi": 0x22222222, "carry": 1, "back_tr": OLD, "back_old": BUSY_TSS, "back_new": FREE_TSS,
        "saved_ebx": 0x77777777,
    }  # fmt: skip


def test_a_jump_goes_on_behind_itself(pc: Machine) -> None:
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	r3_ljmp $FREE,$0
	say first, count
	r3_ljmp $FREE,$0
	say second, count
	finish
arrived: incl count
	r3_ljmp $TSS,$0
	addl $0x10,count
	r3_ljmp $TSS,$0
	.data
count:	.long 0
	.text
""")
    assert said == {"first": 1, "second": 0x11}


def test_call_and_return(pc: Machine) -> None:
    """A called task is nested: it has NT and the link, the caller stays busy, iret goes back."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	movl $0x22222222,%esi
	r3_lcall $FREE,$0
	say esi, %esi
	pushfl
	popl %eax
	andl $0x4000,%eax
	say nt_back, %eax
	busy old_after, TSS
	busy new_after, FREE
	movl other+EFLAGS,%eax
	andl $0x4000,%eax
	say nt_saved, %eax
	r3_str %eax
	say tr, %eax
	movl $FREE,pointer+4
	r3_lcall_mem pointer
	say again, count
	finish
arrived: pushfl
	popl %eax
	andl $0x4000,%eax
	say nt, %eax
	movzwl other+LINK,%eax
	say link, %eax
	busy old, TSS
	busy new, FREE
	incl count
	r3_iret
	addl $0x10,count
	r3_iret
	.data
count:	.long 0
pointer: .long 0, 0
	.text
""")
    assert said == {
        "nt": 0x4000, "link": OLD, "old": BUSY_TSS, "new": BUSY_TSS, "esi": 0x22222222, "nt_back": 0,
        "old_after": BUSY_TSS, "new_after": FREE_TSS, "nt_saved": 0, "tr": OLD, "again": 0x11,
    }  # fmt: skip


def test_task_gates(pc: Machine) -> None:
    """In the GDT, in an LDT, in the IDT by int $n; from ring 3 where their DPL allows it."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	descriptor 1, 0x0000e500, FREE<<16
	based 2, ldt, 15, 0x82
	r3_lgdt gdt_pointer
	movw $FREE+16,tss+LDT
	task_gate 0x50, FREE, 0xe500
	movl $0x101,%ebx
	r3_lcall $FREE+8,$0
	r3_lcall $FREE+8,$0
	r3_lcall $12,$0		# the table is the one that the TSS names: it has been loaded by coming back
	r3_int $0x50
	say from_ring_0, count
	in_ring_3 user, r3_int $0x50
	say from_ring_3, count
	movl tss+CS,%eax
	say user_cs, %eax
	movl tss+SS,%eax
	say user_ss, %eax
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	lcall $FREE+8,$0
	int $0x40
2:	movl $0,trap_resume
	say by_call, count
	say vector, trap_vector
	say ebx, %ebx
	finish
arrived: incl count
	r3_iret
	jmp arrived
	.data
count:	.long 0
	.balign 8
ldt:	.quad 0, 0x0000850000300000
	.text
""")
    assert {name: said[name] for name in ("from_ring_0", "from_ring_3", "by_call")} == {
        "from_ring_0": 4, "from_ring_3": 5, "by_call": 6}  # fmt: skip
    assert (said["user"], said["user_cs"], said["user_ss"]) == (0x40, 0x1B, 0x23)
    assert (said["vector"], said["ebx"]) == (0x40, 0x101)


def test_exceptions_by_task_gates(pc: Machine) -> None:
    """The error code is on the handler's stack, the faulting instruction in the TSS; iret tries again."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	task_gate 13, FREE
	task_gate 6, FREE+8
	based 1, another, 103, 0x89
	movl $0x1000,%eax
	movl $0xabcd,%ebx
1:	r3_load_fs selector
	say ebx, %ebx
	movl $1b,%ecx
	subl %ecx,place
	say place, place
2:	ud2
	movl $2b,%ecx
	subl %ecx,place
	say ud_place, place
	say esp_change, %esi
	finish
	task another, undefined
undefined: movl tss+EIP,%eax
	movl %eax,place
	addl $2,tss+EIP
	movl $another,%eax
	subl %esp,%eax
	movl %eax,tss+EBX+12
	r3_iret
arrived: popl %eax
	say error, %eax
	movl $other,%eax
	subl %esp,%eax
	say rest, %eax
	movl tss+EIP,%eax
	movl %eax,place
	movl tss+EFLAGS,%eax
	andl $0x4000,%eax
	say nt, %eax
	movl $KERNEL_DS,selector
	r3_iret
	.data
selector: .long 0x1000
place:	.long 0
	.text
""")
    assert said == {"error": 0x1000, "rest": 0, "nt": 0, "ebx": 0xABCD, "place": 0, "ud_place": 0, "esp_change": 0}


def test_double_fault_task(pc: Machine) -> None:
    """A kernel whose stack is gone: the task behind gate 8 still gets to say so."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	descriptor 1, 0x00409200, 0x0fff
	r3_lgdt gdt_pointer
	task_gate 8, FREE
	movw $0,idt+8*13+4
	movw $0,idt+8*11+4
	movl $0x1000,%eax
	r3_load_fs selector
	finish
arrived: popl %eax
	say error, %eax
	movzwl other+LINK,%eax
	say link, %eax
	finish
	.data
selector: .long 0x1000
	.text
""")
    assert said == {"error": 0, "link": OLD}


def test_stack_that_cannot_take_a_frame(bare: Machine) -> None:
    """Not in QEMU, which does not look at segment limits."""
    said = bare(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	descriptor 1, 0x00409200, 0x0fff
	r3_lgdt gdt_pointer
	task_gate 8, FREE
	movl $FREE+8,%eax
	r3_load_ss %ax
	movl $8,%esp
	ud2
arrived: popl %eax
	say error, %eax
	movl tss+ESP,%eax
	say esp, %eax
	finish
""")
    assert said == {"error": 0, "esp": 8}


def test_task_of_ring_3_with_a_table_of_its_own(pc: Machine) -> None:
    """LDT, code, stack and data in it; its kernel stack is the one in its TSS."""
    said = pc(TASKS + """
	task other, 0x1234-0x1234, 0x202
	task third, inside, 0x202
	.macro local tss, at
	movl $0x07,\\tss+CS
	movl $0x0f,\\tss+SS
	movl $0x17,\\tss+DS
	movl $0x17,\\tss+ES
	movl $0x17,\\tss+FS
	movl $0x0f,\\tss+GS
	movl $stack_top-8192-0x80000,\\tss+ESP
	movl $\\at,\\tss+LDT
	.endm
test:	based 0, other, 103, 0x89
	based 1, ldt, 23, 0x82
	local other, FREE+8
	movl $code,ldt+2
	movl $0x0000fa00,%eax
	movl $code,%eax
	shrl $16,%eax
	movb %al,ldt+4
	movw $0x40fb,ldt+5
	movb $0,ldt+7
	gate 0x50, system, 0xee00
	movl $0x5a5a5a5a,0x200010
	r3_lgdt gdt_pointer
	movl $stack_top-1024,other+4
	r3_ljmp $FREE,$0
	finish
system:	r3_store_ds %esi
	r3_store_gs %edi
	call kernel_data
	say cs, 4(%esp)
	say ss, 16(%esp)
	movl $stack_top-1024-20,%eax
	subl %esp,%eax
	say kernel_stack, %eax
	say eax, %ebx
	r3_sldt %eax
	say ldtr, %eax
	say ds, %esi
	say gs, %edi
	movl 12(%esp),%eax
	addl $0x80000,%eax
	subl $stack_top-8192,%eax
	say esp, %eax
	finish
inside:
code:	movl %fs:0x10,%ebx
	r3_int $0x50
	.data
	.balign 8
ldt:	.quad 0x0040fb000000ffff, 0x00c0f2080000ffff, 0x0040f2200000ffff
	.text
""")
    assert said == {"cs": 7, "ss": 0xF, "kernel_stack": 0, "eax": 0x5A5A5A5A, "ldtr": NEW + 8, "ds": 0x17, "gs": 0xF,
                    "esp": 0}  # fmt: skip


PAGING = """
	.set TABLE,0x200000		# page tables for 16 MiB, at 0x201000 on
	.set OTHER_TABLE,0x210000
.macro directory at:req, pages:req
	movl $0x201007,\\at
	movl $\\pages+7,\\at+4
	movl $0x203007,\\at+8
	movl $0x204007,\\at+12
.endm
paging:	xorl %ecx,%ecx
1:	movl %ecx,%eax
	shll $12,%eax
	orl $7,%eax
	movl %eax,0x201000(,%ecx,4)
	movl %eax,0x211000-0x400*4(,%ecx,4)
	incl %ecx
	cmpl $4096,%ecx
	jne 1b
	directory TABLE, 0x202000
	directory OTHER_TABLE, 0x211000
	movl $0x600007,0x211000		# 4 MiB, in the other table: what lies at 6 MiB
	movl $0x0a0a0a0a,0x400000
	movl $0x0b0b0b0b,0x600000
	movl $TABLE,%eax
	r3_write_cr3 %eax
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	ret
"""


def test_address_space_of_a_task(pc: Machine) -> None:
    """CR3 comes from the new TSS, and back from the old one."""
    said = pc(TASKS + PAGING + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	call paging
	movl $TABLE,tss+CR3
	movl $OTHER_TABLE,other+CR3
	say before, 0x400000
	r3_lcall $FREE,$0
	say after, 0x400000
	r3_read_cr3 %eax
	say cr3_after, %eax
	r3_lcall $FREE,$0
	say changed, 0x400000
	task_gate 0x50, FREE
	r3_int $0x50
	say by_int, 0x400000
	finish
arrived: say inside, 0x400000
	r3_read_cr3 %eax
	say cr3, %eax
	r3_iret
	incl 0x400000
	movl $0x0c0c0c0c,0x600000
	r3_iret
	say again, 0x400000
	r3_iret
""")
    assert said == {"before": 0x0A0A0A0A, "inside": 0x0B0B0B0B, "cr3": 0x210000, "after": 0x0A0A0A0A,
                    "cr3_after": 0x200000, "changed": 0x0A0A0A0A, "again": 0x0C0C0C0C,
                    "by_int": 0x0A0A0A0A}  # fmt: skip


def test_many_address_spaces(bare: Machine) -> None:
    """The error code of a task gate lands on a stack that only the handler's address space has."""
    said = bare(TASKS + PAGING + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	call paging
	movl $TABLE,tss+CR3
	movl $OTHER_TABLE,other+CR3
	movl $0x400100,other+ESP
	task_gate 14, FREE
	movl $0,0x203000
	movl $0x800000,%ebx
	r3_invlpg (%ebx)
	movl (%ebx),%ecx
	say read, %ecx
	say untouched, 0x4000fc
	finish
arrived: popl %eax
	say error, %eax
	r3_read_cr2 %eax
	say address, %eax
	movl $0x800007,0x203000
	movl $0x12345678,0x800000
	r3_iret
""")
    assert said == {"error": 0, "address": 0x800000, "read": 0x12345678, "untouched": 0}


def test_tasks_of_16_bits(pc: Machine) -> None:
    """Both ways between a 32-bit and a 16-bit TSS; FS and GS are null in the latter."""
    said = pc(TASKS + """
test:	based 0, small, 43, 0x81
	r3_lgdt gdt_pointer
	movl $arrived-0x100000,%eax
	movw %ax,small+0xe
	movl $0x00409a10,gdt+FREE+12
	movl $0x0000ffff,gdt+FREE+8
	descriptor 2, 0x00009200, 0x0000ffff
	movl $0x5678,%edi
	r3_lcall $FREE,$0
	movzbl gdt+FREE+5,%eax
	say after, %eax
	movzwl small+0x16,%eax
	say saved_dx, %eax
	movzwl small+0x28,%eax
	say saved_ds, %eax
	say edi, %edi
	r3_store_fs %eax
	say fs_back, %eax
	finish
arrived: movzwl %ax,%eax
	movl %eax,0x300000
	movzwl %bx,%ebx
	movl %ebx,0x300004
	r3_store_fs %eax
	movl %eax,0x300008
	r3_store_cs %eax
	movl %eax,0x30000c
	pushfl
	popl %eax
	andl $0x4000,%eax
	movl %eax,0x300010
	movl %esp,%eax
	movzwl %ax,%eax
	movl %eax,0x300014
	movl $KERNEL_DS,%eax
	r3_load_ss %ax
	movl $stack_top-8192,%esp
	r3_ljmp $KERNEL_CS,$1f
1:	say ax, 0x300000
	say bx, 0x300004
	say fs, 0x300008
	say cs, 0x30000c
	say nt, 0x300010
	say sp, 0x300014
	movzbl gdt+FREE+5,%eax
	say busy, %eax
	movzwl small,%eax
	say link, %eax
	movl $0xabcd,%edx
	r3_iret
	.data
	.balign 64
small:	.word 0, 0, 0, 0, 0, 0, 0
	.word 0, 2, 0xa0a0, 0xc1c1, 0xd2d2, 0xb3b3, 0x9000, 0xb5b5, 0x5656, 0x5757
	.word KERNEL_DS, FREE+8, FREE+16, KERNEL_DS, 0
	.balign 64
	.text
""")
    assert said == {"ax": 0xA0A0, "bx": 0xB3B3, "fs": 0, "cs": NEW + 8, "nt": 0x4000, "sp": 0x9000, "busy": 0x83,
                    "link": OLD, "after": 0x81, "saved_dx": 0xABCD, "saved_ds": 0x10, "edi": 0x5678,
                    "fs_back": 0x10}  # fmt: skip


def test_refused_switches(pc: Machine) -> None:
    """Faults of the old task: nothing has changed, EIP points to the transfer."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	based 1, other, 103, 0x09
	based 2, other, 102, 0x89
	descriptor 3, 0x00008500, FREE<<16
	descriptor 4, 0x00000500, FREE<<16
	descriptor 5, 0x00008500, 0
	descriptor 6, 0x00008500, 0x00100000
	descriptor 8, 0x00008500, 0x10000000
	based 9, ldt, 15, 0x82
	descriptor 10, 0x00008500, TSS<<16
	r3_lgdt gdt_pointer
	expect self, r3_ljmp $TSS,$0
	expect absent, r3_ljmp $FREE+8,$0
	expect short, r3_lcall $FREE+16,$0
	expect rpl, r3_ljmp $FREE+3,$0
	expect gate_rpl, r3_lcall $FREE+24+3,$0
	expect gate_absent, r3_ljmp $FREE+32,$0
	expect gate_null, r3_ljmp $FREE+40,$0
	expect gate_data, r3_ljmp $FREE+48,$0
	expect gate_beyond, r3_ljmp $FREE+64,$0
	expect gate_busy, r3_lcall $FREE+80,$0
	expect table, r3_ljmp $FREE+72,$0
	task_gate 0x50, FREE+8
	expect int_absent, r3_int $0x50
	task_gate 0x51, TSS
	expect int_busy, r3_int $0x51
	task_gate 0x52, FREE, 0x0500
	expect int_gate_absent, r3_int $0x52
	task_gate 0x53, FREE
	in_ring_3 user_int, r3_int $0x53
	based 11, other, 103, 0x89
	in_ring_3 user_task, ljmp $FREE+88,$0
	in_ring_3 user_gate, lcall $FREE+24,$0
	busy new, FREE
	busy old, TSS
	r3_str %eax
	say tr, %eax
	r3_read_cr0 %eax
	andl $8,%eax
	say ts, %eax
	finish
arrived: finish
	.data
	.balign 8
ldt:	.quad 0, 0
	.text
""")
    free = NEW
    expected = (
        fault("self", GP, OLD) | fault("absent", NP, free + 8) | fault("short", TS, free + 16)
        | fault("rpl", GP, free) | fault("gate_rpl", GP, free + 24) | fault("gate_absent", NP, free + 32)
        | fault("gate_null", GP, 0) | fault("gate_data", GP, 0x10)
        | fault("gate_beyond", GP, 0x1000) | fault("gate_busy", GP, OLD)
        | fault("table", GP, free + 72) | fault("int_absent", NP, free + 8) | fault("int_busy", GP, OLD)
        | fault("int_gate_absent", NP, 0x52 * 8 + 2) | fault("user_int", GP, 0x53 * 8 + 2)
        | fault("user_task", GP, free + 88) | fault("user_gate", GP, free + 24)
        | {"new": FREE_TSS, "old": BUSY_TSS, "tr": OLD, "ts": 0}
    )  # fmt: skip
    assert said == expected


def test_a_local_table_has_no_tasks(bare: Machine) -> None:
    """#GP by SDM vol. 2, JMP and CALL; QEMU raises #TS."""
    said = bare(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	based 1, ldt, 15, 0x82
	descriptor 2, 0x00008500, 12<<16
	r3_lgdt gdt_pointer
	movl gdt+FREE,%eax
	movl %eax,ldt+8
	movl gdt+FREE+4,%eax
	movl %eax,ldt+12
	movl $FREE+8,%eax
	r3_lldt %ax
	expect direct, r3_ljmp $12,$0
	expect by_gate, r3_lcall $FREE+16,$0
	finish
arrived: finish
	.data
	.balign 8
ldt:	.quad 0, 0
	.text
""")
    assert said == fault("direct", GP, 12) | fault("by_gate", GP, 12)


def test_refused_returns(pc: Machine) -> None:
    """iret with NT: the link must name a busy TSS."""
    said = pc(TASKS + """
	task other, arrived
	.macro nested name, selector
	movw $\\selector,tss+LINK
	pushl $0x4002
	popfl
	clc
	jc 1f
	expect \\name, r3_iret
1:	pushl $2
	popfl
	.endm
test:	based 0, other, 103, 0x89
	based 1, other, 103, 0x0b
	based 2, other, 102, 0x8b
	r3_lgdt gdt_pointer
	nested null, 0
	nested free, FREE
	nested absent, FREE+8
	nested short, FREE+16
	nested data, KERNEL_DS
	nested local, 0x34
	nested beyond, 0x1000
	r3_str %eax
	say tr, %eax
	finish
arrived: finish
""")
    assert said == (
        fault("null", TS, 0) | fault("free", TS, NEW) | fault("absent", NP, NEW + 8) | fault("short", TS, NEW + 16)
        | fault("data", TS, 0x10) | fault("local", TS, 0x34) | fault("beyond", TS, 0x1000) | {"tr": OLD}
    )  # fmt: skip


# What is wrong in the new TSS: the change, and the exception with its error code.
BAD_TASKS = {
    "ldt_beyond": ("movw $0x1000,bad+LDT", TS, 0x1000),
    "ldt_local": ("movw $0x34,bad+LDT", TS, 0x34),
    "ldt_data": ("movw $KERNEL_DS,bad+LDT", TS, 0x10),
    "ldt_absent": ("movw $FREE+24,bad+LDT", TS, NEW + 24),
    "cs_null": ("movw $0,bad+CS", TS, 0),
    "cs_data": ("movw $KERNEL_DS,bad+CS", TS, 0x10),
    "cs_beyond": ("movw $0x1000,bad+CS", TS, 0x1000),
    "cs_rpl": ("movw $USER_CS-3,bad+CS", TS, 0x18),
    "cs_absent": ("movw $FREE+32,bad+CS", NP, NEW + 32),
    "ss_null": ("movw $0,bad+SS", TS, 0),
    "ss_code": ("movw $KERNEL_CS,bad+SS", TS, 8),
    "ss_rpl": ("movw $KERNEL_DS+3,bad+SS", TS, 0x10),
    "ss_dpl": ("movw $USER_DS,bad+SS", TS, 0x20),
    "ds_beyond": ("movw $0x1000,bad+DS", TS, 0x1000),
    "es_system": ("movw $TSS,bad+ES", TS, OLD),
    "fs_rpl": ("movw $KERNEL_DS+1,bad+FS", TS, 0x10),
    "gs_absent": ("movw $FREE+40,bad+GS", NP, NEW + 40),
}


def _bad_task(run: Machine, change: str, vector: int) -> dict[str, int]:
    return run(TASKS + f"""
	task bad, never
	task handler, arrived
test:	based 0, bad, 103, 0x89
	based 1, handler, 103, 0x89
	descriptor 3, 0x00000200, 0x00000fff
	descriptor 4, 0x00cf1a00, 0x0000ffff
	descriptor 5, 0x00cf1200, 0x0000ffff
	r3_lgdt gdt_pointer
	task_gate {vector}, FREE+8
	{change}
	r3_ljmp $FREE,$0
	finish
never:	say never, %eax
	finish
arrived: popl %eax
	say error, %eax
	movzwl handler+LINK,%eax
	say link, %eax
	movl bad+EIP,%eax
	subl $never,%eax
	say eip, %eax
	say ecx, bad+EAX+4
	busy old, TSS
	busy bad, FREE
	finish
""")


_IN_BAD_TASK = {"link": NEW, "eip": 0, "ecx": 0xC1C1C1C1, "old": FREE_TSS, "bad": BUSY_TSS}


@pytest.mark.parametrize("name", BAD_TASKS)
def test_faults_of_a_new_task(pc: Machine, name: str) -> None:
    """The handler, a task too, finds all of the new state saved."""
    change, vector, error = BAD_TASKS[name]
    # QEMU saves the EIP of the jump.
    assert _bad_task(pc, change, vector) | {"eip": 0} == _IN_BAD_TASK | {"error": error}


def test_place_of_faults_of_a_new_task(bare: Machine) -> None:
    """They come at its first instruction. QEMU differs, and raises #NP for an absent stack segment."""
    assert _bad_task(bare, "movw $0x1000,bad+DS", TS) == _IN_BAD_TASK | {"error": 0x1000}
    assert _bad_task(bare, "movw $FREE+40,bad+SS", SS) == _IN_BAD_TASK | {"error": NEW + 40}


def test_a_mended_task_goes_on(bare: Machine) -> None:
    """The handler of #NP makes the segment present, and iret loads it anew. QEMU saves the EIP of the jump."""
    said = bare(TASKS + """
	task bad, begun
	task handler, arrived
test:	based 0, bad, 103, 0x89
	based 1, handler, 103, 0x89
	descriptor 2, 0x00401230, 0x0000ffff
	r3_lgdt gdt_pointer
	task_gate 11, FREE+8
	movw $FREE+16,bad+FS
	movl $0x12345678,0x300000
	r3_ljmp $FREE,$0
begun:	say through, %fs:0
	finish
arrived: popl %eax
	say error, %eax
	movzwl bad+FS,%eax
	say selector, %eax
	movb $0x92,gdt+FREE+21
	r3_iret
""")
    assert said == {"error": NEW + 16, "selector": NEW + 16, "through": 0x12345678}


def test_fault_of_a_new_task_by_an_interrupt_gate(pc: Machine) -> None:
    """Its own stack is there already, so the ordinary handler serves, in the new task."""
    said = pc(TASKS + """
	task bad, never
test:	based 0, bad, 103, 0x89
	r3_lgdt gdt_pointer
	movw $0x1000,bad+GS
	expect bad, r3_ljmp $FREE,$0
	r3_str %eax
	say tr, %eax
	finish
never:	finish
""")
    assert (said["bad"], said["bad.error"], said["tr"]) == (TS, 0x1000, NEW)


def test_a_bad_task_as_handler_makes_a_double_fault(bare: Machine) -> None:
    """QEMU delivers #TS."""
    said = bare(TASKS + """
	task bad, never
test:	based 0, bad, 103, 0x89
	r3_lgdt gdt_pointer
	task_gate 0, FREE
	movw $0x1000,bad+GS
	xorl %ecx,%ecx
	expect double, divl %ecx
	r3_str %eax
	say tr, %eax
	finish
never:	finish
""")
    assert (said["double"], said["double.error"], said["tr"]) == (DF, 0, NEW)


def test_instruction_pointer_beyond_the_code_segment(pc: Machine) -> None:
    said = pc(TASKS + """
	task bad, never
test:	based 0, bad, 103, 0x89
	descriptor 1, 0x00409a00, 0x0fff
	r3_lgdt gdt_pointer
	movl $0x1000,bad+EIP
	movw $FREE+8,bad+CS
	expect beyond, r3_ljmp $FREE,$0
	say eip, trap_eip
	say cs, trap_cs
	finish
never:	finish
""")
    assert (said["beyond"], said["beyond.error"], said["cs"]) == (GP, 0, NEW + 8)


def test_debug_trap_and_local_breakpoints(bare: Machine) -> None:
    """T in the TSS: #DB with DR6.BT before the first instruction. QEMU has no T."""
    said = bare(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	movl $0x3ff,%eax
	r3_write_dr7 %eax
	movw $1,other+TRAP
	expect trap, r3_ljmp $FREE,$0
	movl $arrived,%eax
	subl trap_eip,%eax
	r3_read_dr6 %eax
	andl $0xf00f,%eax
	say dr6, %eax
	r3_read_dr7 %eax
	say dr7, %eax
	r3_str %eax
	say tr, %eax
	finish
arrived: finish
""")
    assert (said["trap"], said["dr6"], said["dr7"], said["tr"]) == (DB, 0x8000, 0x6AA, NEW)


def test_interrupts_by_task_gates(bare: Machine) -> None:
    """A timer whose handler is a task: it goes on behind its iret at the next tick."""
    said = bare(TASKS + """
	task ticker, tick
.macro port number:req, value:req
	movb \\value,%al
	r3_out %al,\\number
.endm
test:	based 0, ticker, 103, 0x89
	r3_lgdt gdt_pointer
	task_gate 0x20, FREE
	port $0x20, $0x11
	port $0x21, $0x20
	port $0x21, $4
	port $0x21, $1
	port $0x21, $0xfe
	port $0x43, $0x34
	port $0x40, $0xa9
	port $0x40, $4
	movl $0x11111111,%eax
	movl $0x22222222,%ecx
	stc
	r3_sti
1:	cmpl $5,ticks
	jb 1b
	r3_cli
	say eax, %eax
	say ecx, %ecx
	movl ticker+EFLAGS,%eax
	andl $0x200,%eax
	say if_inside, %eax
	finish
tick:	incl ticks
	port $0x20, $0x20
	r3_iret
	jmp tick
	.data
ticks:	.long 0
	.text
""")
    assert said == {"eax": 0x11111111, "ecx": 0x22222222, "if_inside": 0}


def test_there_is_no_virtual_8086_mode(machine: Machine) -> None:
    """Refused, by iret and by a task switch, before anything changes."""
    said = machine(TASKS + """
	task other, arrived, 0x20002
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	expect task, r3_ljmp $FREE,$0
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	pushl $0x1000
	pushl $0x20002
	pushl $0
	pushl $0
	clc
	jc 1f
	expect iret, r3_iret
1:	r3_str %eax
	say tr, %eax
	finish
arrived: finish
""")
    assert said == fault("task", TS, NEW) | fault("iret", GP, 0) | {"tr": OLD}


def test_ordinary_traps_in_a_task(pc: Machine) -> None:
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	r3_lcall $FREE,$0
	finish
arrived: pushl $2
	popfl
	expect nothing, nop
	expect wrong, ud2
	pushl $0x4002
	popfl
	r3_iret
""")
    assert said == none("nothing") | fault("wrong", 6)
