# Where programs begin, and how they call the kernel, in Intel syntax.

#include "interface.h"

	.intel_syntax noprefix
	.text
	.globl start				# the kernel has put the program's line where a C function expects it
start:
	push [esp + 4]
	call program
	mov eax, CALL_EXIT
	sysenter

	.globl system_call			# int system_call(number, task, message)
system_call:
	push ebx
	push esi
	mov eax, [esp + 12]
	mov ebx, [esp + 16]
	mov esi, [esp + 20]
	mov ecx, esp
	mov edx, offset 1f
	sysenter
1:	pop esi
	pop ebx
	ret

	.section .note.GNU-stack, "", @progbits
