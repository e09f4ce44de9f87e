# void switch_stacks(uint32_t **save, uint32_t *load)
#
# Whatever C expects a call to preserve is on the stack that is left, so the thread goes on, when somebody
# switches back, as if its call had simply returned.

	.text
	.globl switch_stacks
switch_stacks:
	movl 4(%esp), %eax
	movl 8(%esp), %edx
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl %esp, (%eax)
	movl %edx, %esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

	.section .note.GNU-stack, "", @progbits
