"""Tasks that have an LDT or page tables of their own, as processes do."""

from __future__ import annotations

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import TASKS
from tests.hypervisor.engine.said import NEW


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


TWO_SPACES = """
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
    said = pc(TASKS + TWO_SPACES + """
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
    said = bare(TASKS + TWO_SPACES + """
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


def test_processes_as_tasks(pc: Machine) -> None:
    """As Linux 0.01 has them: tasks of ring 3, each with an address space and an LDT, switched in ring 0 by ljmp."""
    said = pc(TASKS + """
.set TASKS,6
.set ROUNDS,50
.set SHARED_TABLE,0x210000
.macro process number
	task process\\number, user, 0x202
	.data
kstack\\number:	.skip 256
	.balign 8
ldt\\number:	.quad 0x00cffa000000ffff, 0x0040f24000000fff, 0x00cff2000000ffff
	.text
	based \\number, process\\number, 103, 0x89
	based 8+\\number, ldt\\number, 23, 0x82
	movl $ldt\\number,process\\number+4
	movl $0x07,process\\number+CS
	movl $0x0f,process\\number+DS
	movl $0x0f,process\\number+ES
	movl $0x0f,process\\number+FS
	movl $0,process\\number+GS
	movl $0x17,process\\number+SS
	movl $0x400f00,process\\number+ESP
	movl $FREE+8*(8+\\number),process\\number+LDT
	movl $0x220000+0x2000*\\number,process\\number+CR3
	# The same directory for all but 4 MiB, where one page is mapped.
	movl $SHARED_TABLE+7,0x220000+0x2000*\\number
	movl $0x221007+0x2000*\\number,0x220004+0x2000*\\number
	movl $0x500007+0x1000*\\number,0x221000+0x2000*\\number
.endm
test:	xorl %ecx,%ecx
1:	movl %ecx,%eax
	shll $12,%eax
	orl $3,%eax
	cmpl $0x100,%ecx		# user code is in the kernel's megabyte
	jb 3f
	orl $4,%eax
3:	movl %eax,SHARED_TABLE(,%ecx,4)
	orl $0x400000,%eax
	movl %eax,0x211000(,%ecx,4)
	incl %ecx
	cmpl $0x400,%ecx
	jne 1b
	movl $SHARED_TABLE+7,0x20f000
	movl $0x211007,0x20f004
	.irp number,0,1,2,3,4,5
	process \\number
	.endr
	gate 0x60, schedule, 0xef00
	r3_lgdt gdt_pointer
	movl $0x20f000,%eax
	movl %eax,tss+CR3
	r3_write_cr3 %eax
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	movl $0x22222222,%esi
	r3_ljmp $FREE,$0
	say esi, %esi
	say switches, switches
	.irp number,0,1,2,3,4,5
	say counter\\number, 0x500000+0x1000*\\number
	say copy\\number, 0x500004+0x1000*\\number
	.endr
	finish
user:	incl 0
	pushl 0
	popl 4
	r3_int $0x60
	jmp user
schedule: pushal
	r3_push_ds
	movl $KERNEL_DS,%eax
	r3_load_ds %eax
	incl 0x1000			# a page that users do not have
	incl switches
	movl next,%eax
	incl %eax
	cmpl $TASKS,%eax
	jb 1f
	xorl %eax,%eax
1:	movl %eax,next
	leal FREE(,%eax,8),%eax
	cmpl $TASKS*ROUNDS,switches
	jb 2f
	movl $TSS,%eax
2:	movl %eax,pointer+4
	clc
	jc 3f				# never; so that who reads the code sees that it goes on there
	r3_ljmp_mem pointer
3:	r3_pop_ds
	popal
	r3_iret
	.data
switches: .long 0
next:	.long 0
pointer: .long 0, 0
	.text
""")
    expected = {f"{what}{number}": 50 for what in ("counter", "copy") for number in range(6)}
    assert said == expected | {"esi": 0x22222222, "switches": 300}
