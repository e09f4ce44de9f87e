# Ways into the kernel and out of it. Each vector has an entry of its own, which pushes its number; all go on in one place,
# with struct interrupt_frame on the stack: that of the process if its own code was interrupted, since the TSS says so.

#include "segments.h"

	.set WITH_ERROR_CODE, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21
	.set FRAME_CS, 44			# in struct interrupt_frame

	.section .rodata
	.balign 4
	.globl vector_entries			# void *vector_entries[48]
vector_entries:

	.text
	.set number, 0
	.rept 48
	.pushsection .rodata
	.long 1f
	.popsection
1:
	.if number >= 32 || (WITH_ERROR_CODE >> number & 1) == 0
	pushl $0				# so that every frame has the same shape
	.endif
	pushl $number
	jmp common_entry
	.set number, number + 1
	.endr

	.globl system_call_entry
system_call_entry:
	pushl $0
	pushl $SYSTEM_CALL_VECTOR

common_entry:
	pushal
	movl $KERNEL_DATA, %eax			# from a process: its segments are no business of ours. No code here
	movl %eax, %ds				# uses FS and GS, nor does any program
	movl %eax, %es
	cld
	pushl %esp				# the frame is trap's argument
	call trap
	addl $4, %esp

	.globl trap_return			# also where a new process begins
trap_return:
	testb $3, FRAME_CS(%esp)
	jz 1f
	movl $USER_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
1:
	popal
	addl $8, %esp				# vector and error code
	iretl

	.section .note.GNU-stack, "", @progbits
