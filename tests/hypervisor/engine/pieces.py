"""Assembly that several test files put in front of their guests."""

from __future__ import annotations

# Descriptors in the free part of the GDT, by index; all but `descriptor` use EAX.
#
#	descriptor INDEX, HIGH, LOW
#	based INDEX, LABEL, LIMIT, ACCESS, FLAGS	a segment or table at LABEL
#	call_gate INDEX, SELECTOR, ENTRY, COUNT, ACCESS
#	task_gate VECTOR, SELECTOR, ACCESS		in the IDT
DESCRIPTORS = """
.macro descriptor index:req, high:req, low:req
	movl $\\low,gdt+FREE+8*\\index
	movl $\\high,gdt+FREE+8*\\index+4
.endm
.macro based index:req, label:req, limit:req, access:req, flags=0
	movl $\\label,%eax
	movw $\\limit,gdt+FREE+8*\\index
	movw %ax,gdt+FREE+8*\\index+2
	shrl $16,%eax
	movb %al,gdt+FREE+8*\\index+4
	movb $\\access,gdt+FREE+8*\\index+5
	movb $\\flags,gdt+FREE+8*\\index+6
	movb %ah,gdt+FREE+8*\\index+7
.endm
.macro call_gate index:req, selector:req, entry:req, count=0, access=0x8c
	movl $\\entry,%eax
	movw %ax,gdt+FREE+8*\\index
	movw $\\selector,gdt+FREE+8*\\index+2
	movw $(\\access)<<8|(\\count),gdt+FREE+8*\\index+4
	shrl $16,%eax
	movw %ax,gdt+FREE+8*\\index+6
.endm
.macro task_gate vector:req, selector:req, access=0x8500
	movl $(\\selector)<<16,idt+8*\\vector
	movl $\\access,idt+8*\\vector+4
.endm
"""

# `task NAME, ENTRY, FLAGS` makes a 32-bit TSS of ring 0 with a stack of its own, in .data.
TASKS = DESCRIPTORS + """
.set LINK,0
.set CR3,28
.set EIP,32
.set EFLAGS,36
.set EAX,40
.set EBX,52
.set ESP,56
.set ES,72
.set CS,76
.set SS,80
.set DS,84
.set FS,88
.set GS,92
.set LDT,96
.set TRAP,100
.macro task name:req, entry:req, flags=2
	.data
	.skip 512
	.balign 128
\\name:	.long 0, stack_top-4096, KERNEL_DS
	.skip 16
	.long 0, \\entry, \\flags
	.long 0xa0a0a0a0, 0xc1c1c1c1, 0xd2d2d2d2, 0xb3b3b3b3, \\name, 0xb5b5b5b5, 0x56565656, 0x57575757
	.long KERNEL_DS, KERNEL_CS, KERNEL_DS, KERNEL_DS, KERNEL_DS, KERNEL_DS, 0
	.word 0, 104
	.balign 128
	.text
.endm
.macro busy name:req, selector:req
	movzbl gdt+\\selector+5,%eax
	andl $0x1f,%eax
	say \\name, %eax
.endm
"""

# Segments of rings 1 and 2 from index 20 on, with stacks for them in the TSS.
RINGS = DESCRIPTORS + """
.set RING1_CS,FREE+160+1
.set RING1_DS,FREE+168+1
.set RING2_CS,FREE+176+2
.set RING2_DS,FREE+184+2
.macro rings
	descriptor 20, 0x00cfba00, 0x0000ffff
	descriptor 21, 0x00cfb200, 0x0000ffff
	descriptor 22, 0x00cfda00, 0x0000ffff
	descriptor 23, 0x00cfd200, 0x0000ffff
	movl $stack_top-6144,tss+12
	movl $RING1_DS,tss+16
	movl $stack_top-7168,tss+20
	movl $RING2_DS,tss+24
	r3_lgdt gdt_pointer
.endm
# Leave ring 0 by lret, for ENTRY in ring N with the stack at stack_top-8192.
.macro ring number:req, entry:req
	pushl $RING\\number\\()_DS
	pushl $stack_top-8192
	pushl $RING\\number\\()_CS
	pushl $\\entry
	r3_lret
.endm
# As in_ring_3, in ring N; FLAGS are loaded by iret.
.macro in_ring number:req, flags:req, name:req, instruction:vararg
	movl %esp,trap_esp
	movl $.Lafter\\@,trap_resume
	movl $-1,trap_vector
	movl $RING\\number\\()_DS,%eax
	r3_load_ds %eax
	pushl $RING\\number\\()_DS
	pushl $stack_top-8192
	pushl $\\flags
	pushl $RING\\number\\()_CS
	pushl $.Lat\\@
	clc
	jc .Lat\\@
	r3_iret
.Lat\\@:	\\instruction
	int $0x40
.Lafter\\@:
	movl $0,trap_resume
	subl $.Lat\\@,trap_eip
	say \\name, trap_vector
	say \\name\\().error, trap_error
	say \\name\\().at, trap_eip
.endm
"""
