# A function for each system call. C has the arguments on the stack, the kernel wants them in registers.

#define CALL(number, name) .globl name; name: movl $number, %eax; jmp system_call;

	.text
#include "calls.h"

system_call:
	pushl %ebx
	movl 8(%esp), %ebx
	movl 12(%esp), %ecx
	movl 16(%esp), %edx
	int $0x80
	popl %ebx
	ret

	.section .note.GNU-stack, "", @progbits
