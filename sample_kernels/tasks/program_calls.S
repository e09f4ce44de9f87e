# The calls that a program makes through gates. A gate's offset is in its descriptor: that of the call is not looked at.

#include "selectors.h"

	.text
	.globl write_far			# write_far(text, selector)
write_far:
	pushl 8(%esp)
	pushl 8(%esp)				# 4 above, before the push
	lcall $GATE_WRITE, $0			# drops the two words
	ret

	.globl yield
yield:
	lcall $GATE_YIELD, $0
	ret

	.globl program_exit
program_exit:
	lcall $GATE_EXIT, $0

	.globl call_clerk
call_clerk:
	lcall $PROGRAM_CLERK, $0
	ret

	.globl library_decimal			# char *library_decimal(uint32_t value, char *to)
library_decimal:
	pushl %edi
	movl 8(%esp), %eax
	movl 12(%esp), %edi
	lcall $LIBRARY_CODE, $LIBRARY_DECIMAL
	movl %edi, %eax
	popl %edi
	ret

	.globl library_ring			# uint32_t library_ring(void)
library_ring:
	lcall $LIBRARY_CODE, $LIBRARY_RING
	ret

	.section .note.GNU-stack, "", @progbits
