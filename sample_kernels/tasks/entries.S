# Where the processor enters the kernel by itself, or through gates.

#include "selectors.h"

	.set KERNEL_DATA, 0x10

	.text

# The timer's interrupt, in whatever ring and with whatever segments.
	.globl timer_entry
timer_entry:
	pushal
	pushl %ds
	pushl %es
	movl $KERNEL_DATA, %eax
	movw %ax, %ds
	movw %ax, %es
	cld
	call timer_tick
	popl %es
	popl %ds
	popal
	iretl

# GATE_YIELD and GATE_EXIT: calls from ring 3 that have no arguments.
	.globl yield_entry
yield_entry:
	pushl %ds
	pushl %es
	movl $KERNEL_DATA, %eax
	movw %ax, %ds
	movw %ax, %es
	cld
	call schedule
	popl %es
	popl %ds
	lret

	.globl exit_entry
exit_entry:
	movl $KERNEL_DATA, %eax
	movw %ax, %ds
	movw %ax, %es
	cld
	call task_exit

# The task of an exception that has an error code; its place in the list is in EBX. The processor pushes the code each time it
# enters the task. `iret`, with NT set, leaves it for the task that the TSS links back to, and is also where the task
# goes on the next time.
	.globl fault_task_with_code
fault_task_with_code:
	pushl %ebx
	call fault_handle			# fault_handle(place, error code)
	addl $8, %esp
	iretl
	jmp fault_task_with_code

	.globl fault_task
fault_task:
	pushl $0
	pushl %ebx
	call fault_handle
	addl $8, %esp
	iretl
	jmp fault_task

# The clerk is a task of the same kind, but called on purpose.
	.globl clerk_task
clerk_task:
	call clerk_serve
	iretl
	jmp clerk_task

# A task in ring 0 that wants more stack than its segment has.
	.globl overflow_stack
overflow_stack:
	pushl $0
	jmp overflow_stack

	.section .note.GNU-stack, "", @progbits
