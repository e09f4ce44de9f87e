# Where a program begins, and where its signal handlers return to.

#define CALL(number, name) .set number_of_##name, number;
#include "calls.h"

	.text
	.globl _start
_start:
	call main			# main(count, arguments), which are on the stack
	pushl %eax
	call exit

# The kernel finds on the stack what it put there for the handler, without the return address: so no call here.
	.globl handler_return
handler_return:
	movl $number_of_signal_return, %eax
	int $0x80

	.section .note.GNU-stack, "", @progbits
