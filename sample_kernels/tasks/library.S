# Code for everybody: its segment is conforming, so a far call does not change the ring. It has no data and uses its
# caller's.

#include "selectors.h"

	.text
	.globl library_start, library_end
library_start:
	.org library_start + LIBRARY_DECIMAL
	jmp decimal
	.org library_start + LIBRARY_RING
	jmp ring

# EAX in decimal to ES:EDI; EDI is left behind the last digit. Changes EAX, ECX and EDX.
decimal:
	movl $10, %ecx
	pushl $0				# marks the first digit
1:	xorl %edx, %edx
	divl %ecx
	addl $'0', %edx
	pushl %edx
	testl %eax, %eax
	jnz 1b
2:	popl %eax
	testl %eax, %eax
	jz 3f
	stosb
	jmp 2b
3:	lret

# In EAX, the ring in which this runs.
ring:
	movl %cs, %eax
	andl $3, %eax
	lret
library_end:

	.section .note.GNU-stack, "", @progbits
