# One entry point for each vector: the processor does not say which vector it takes, so each has code
# of its own that pushes the number, and all go on in one place with struct interrupt_frame on the stack.

	.set WITH_ERROR_CODE, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21

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
	jmp interrupt_common
	.set number, number + 1
	.endr

interrupt_common:
	pushal
	cld					# C expects it; the interrupted code may have had it set
	pushl %esp				# the frame is interrupt_dispatch's argument
	call interrupt_dispatch
	addl $4, %esp
	popal
	addl $8, %esp				# vector and error code
	iretl

	.section .note.GNU-stack, "", @progbits
