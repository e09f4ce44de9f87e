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
	movl $\\low,gdt+FREE+8*(\\index)
	movl $\\high,gdt+FREE+8*(\\index)+4
.endm
.macro based index:req, label:req, limit:req, access:req, flags=0
	movl $\\label,%eax
	movw $\\limit,gdt+FREE+8*(\\index)
	movw %ax,gdt+FREE+8*(\\index)+2
	shrl $16,%eax
	movb %al,gdt+FREE+8*(\\index)+4
	movb $\\access,gdt+FREE+8*(\\index)+5
	movb $\\flags,gdt+FREE+8*(\\index)+6
	movb %ah,gdt+FREE+8*(\\index)+7
.endm
.macro call_gate index:req, selector:req, entry:req, count=0, access=0x8c
	movl $\\entry,%eax
	movw %ax,gdt+FREE+8*(\\index)
	movw $\\selector,gdt+FREE+8*(\\index)+2
	movw $(\\access)<<8|(\\count),gdt+FREE+8*(\\index)+4
	shrl $16,%eax
	movw %ax,gdt+FREE+8*(\\index)+6
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

# Identity for the first 4 MiB by 4 KiB pages (table at 0x201000), 0x800000-0xbfffff by the table at
# 0x202000, which is empty at first; a page table for 0xff000000 at 0x203000, one for 0xfec00000 at 0x204000.
PAGING = """
	.set PD,0x200000
	.set LOW,0x201000
	.set TEST,0x202000
	.set TOP,0x203000
	.set DEVICES,0x204000
	.set WINDOW,0x800000
	.set FRAME_A,0x300000
	.set FRAME_B,0x302000

.macro entry page:req, value:req
	movl \\value,TEST+4*\\page
.endm

paging:	movl $PD,%edi
	xorl %eax,%eax
	movl $5*1024,%ecx
	rep stosl
	movl $LOW+7,PD
	movl $TEST+7,PD+4*2
	movl $TOP+7,PD+4*0x3fc
	movl $DEVICES+7,PD+4*0x3fb
	movl $LOW,%edi
	movl $7,%eax
	movl $1024,%ecx
1:	stosl
	addl $0x1000,%eax
	loop 1b
	movl $0xaaaaaaaa,FRAME_A
	movl $0xbbbbbbbb,FRAME_B
	movl $PD,%eax
	r3_write_cr3 %eax
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	ret
"""

# Identity for the first 8 MiB by 2 MiB pages; 0x800000 to 0x9fffff by the table at TEST, which is empty at
# first. Entry 1 of the directory-pointer table stays absent, 2 is the directory PD2, 3 is absent.
PAE = """
	.set PDPT,0x210000
	.set PD,0x211000
	.set TEST,0x212000
	.set PD2,0x213000
	.set PDPT2,0x214020
	.set WINDOW,0x800000
	.set FRAME_A,0x300000
	.set FRAME_B,0x302000

.macro entry page:req, value:req, high=0
	movl \\value,TEST+8*\\page
	movl $\\high,TEST+8*\\page+4
.endm
.macro set_cr4 value:req
	movl $\\value,%eax
	r3_write_cr4 %eax
.endm
.macro set_efer value:req
	movl $0xc0000080,%ecx
	movl $\\value,%eax
	xorl %edx,%edx
	r3_wrmsr
.endm
.macro reload table=$PDPT
	movl \\table,%eax
	r3_write_cr3 %eax
.endm

tables:	movl $PDPT,%edi
	xorl %eax,%eax
	movl $5*1024,%ecx
	cld
	rep stosl
	movl $PD+1,PDPT
	movl $PD2+1,PDPT+16
	movl $0x87,PD
	movl $0x200087,PD+8
	movl $0x400087,PD+16
	movl $0x600087,PD+24
	movl $TEST+7,PD+32
	movl $0xaaaaaaaa,FRAME_A
	movl $0xbbbbbbbb,FRAME_B
	set_cr4 0x20
	reload
	ret
paging:	call tables
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	ret
"""

# The 8259As at vectors 0x20 and 0x28 with all lines masked; `pit HZ` starts channel 0.
PC = """
.macro port number:req, value:req
	movb \\value,%al
	r3_out %al,\\number
.endm

.macro pit divisor:req
	port $0x43, $0x34
	port $0x40, $\\divisor&0xff
	port $0x40, $\\divisor>>8
.endm

controllers:
	port $0x20, $0x11
	port $0x21, $0x20
	port $0x21, $4
	port $0x21, $1
	port $0xa0, $0x11
	port $0xa1, $0x28
	port $0xa1, $2
	port $0xa1, $1
	port $0x21, $0xff
	port $0xa1, $0xff
	ret

tick:	pushl %eax
	incl ticks
	port $0x20, $0x20
	popl %eax
	r3_iret
	.data
ticks:	.long 0
	.text
"""
