# Where GATE_WRITE enters the driver. The processor has changed to the stack that the TSS names for ring 1 and has copied
# the caller's two words there; DS is still the caller's. In EAX goes back what driver_write() says.

#include "selectors.h"

	.set CALLER_CS, 8			# from EBP on, above the return address
	.set TEXT_OFFSET, 12
	.set TEXT_SELECTOR, 16

	.text
	.globl driver_entry
driver_entry:
	pushl %ebp
	movl %esp, %ebp
	pushl %ds
	pushl %es
	movl $DRIVER_DATA, %eax
	movw %ax, %ds
	movw %ax, %es
	cld
	pushl CALLER_CS(%ebp)
	pushl TEXT_SELECTOR(%ebp)
	pushl TEXT_OFFSET(%ebp)
	call driver_write
	addl $12, %esp
	popl %es
	popl %ds
	popl %ebp
	lret $8					# drops the two words, on either stack

	.section .note.GNU-stack, "", @progbits
