/* The micro-benchmark's start at the top of the address space, the entry points of its system calls, and
 * its user program. */

	.set HIGH, 0xc0000000

	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 0, -0x1badb002

/* Runs where it is loaded, paging off: map the first 4 MiB there and at HIGH, go on above. */
	.section .boot, "ax"
	.globl start
start:
	movl $boot_directory - HIGH, %eax
	movl $0x83, (%eax)		/* present, writable, 4 MiB */
	movl $0x83, 0xc00(%eax)
	movl %cr4, %ecx
	orl $0x10, %ecx
	movl %ecx, %cr4
	movl %eax, %cr3
	movl %cr0, %ecx
	orl $0x80010000, %ecx
	movl %ecx, %cr0
	movl $high, %eax
	jmp *%eax

	.text
high:
	movl $stack_top, %esp
	pushl $0
	popfl
	call segments_init
	call interrupts_init
	call serial_init
	call kernel_main
	call power_off

/* The engine's part alone: into the kernel and straight back. */
	.globl bare_call
bare_call:
	iret

/* What a kernel does around a system call: save all registers and segments, load its own, call C. */
	.macro enter_kernel
	pushl %ds
	pushl %es
	pushl %fs
	pushl %gs
	pushal
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	.endm
	.macro leave_kernel
	popal
	popl %gs
	popl %fs
	popl %es
	popl %ds
	iret
	.endm

	.globl full_call
full_call:
	enter_kernel
	call kernel_getpid
	movl %eax, 28(%esp)
	leave_kernel

/* Write ECX bytes at EBX to the console. */
	.globl write_call
write_call:
	enter_kernel
	pushl %ecx
	pushl %ebx
	call kernel_write
	addl $8, %esp
	leave_kernel

/* From the user program back to whoever called run_user(). */
	.globl leave_user
leave_user:
	movl %eax, %ss:full_cycles
	movl %esi, %ss:bare_cycles
	movl %ebp, %ss:write_cycles
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movl kernel_esp, %esp
	popal
	ret

/* void run_user(uint32_t eip, uint32_t esp) */
	.globl run_user
run_user:
	pushal
	movl %esp, kernel_esp
	movl 36(%esp), %eax
	movl 40(%esp), %edx
	movw $0x23, %cx
	movw %cx, %ds
	movw %cx, %es
	movw %cx, %fs
	movw %cx, %gs
	pushl $0x23
	pushl %edx
	pushl $0x202
	pushl $0x1b
	pushl %eax
	iret

/* The user program: loops over each call and stores the TSC around them. Runs at the bottom of a page of
 * its own, with its results behind it. */
	.section .text.user, "ax"
	.balign 4096
	.globl user_program
user_program:
	movl $20000, %ebx
1:	int $0x80
	subl $1, %ebx
	jnz 1b
	rdtsc
	movl %eax, %edi
	movl $200000, %ebx
1:	int $0x80
	subl $1, %ebx
	jnz 1b
	rdtsc
	subl %edi, %eax
	movl %eax, %esi
	rdtsc
	movl %eax, %edi
	movl $200000, %ebx
1:	int $0x81
	subl $1, %ebx
	jnz 1b
	rdtsc
	subl %edi, %eax
	pushl %eax
	rdtsc
	movl %eax, %edi
	movl $2000, %ebp
	movl $0x40000000 + line - user_program, %ebx
	movl $80, %ecx
1:	int $0x83
	subl $1, %ebp
	jnz 1b
	rdtsc
	subl %edi, %eax
	movl %eax, %ebp
	popl %eax
	int $0x82		/* EAX, ESI, EBP: cycles of the full calls, the bare ones and the writes */
line:	.fill 79, 1, 'x
	.byte 10
	.balign 4096

	.bss
	.globl full_cycles, bare_cycles, write_cycles
kernel_esp: .skip 4
full_cycles: .skip 4
bare_cycles: .skip 4
write_cycles: .skip 4
	.balign 4096
boot_directory: .skip 4096
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
