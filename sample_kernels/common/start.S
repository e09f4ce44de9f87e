# Where the boot loader enters: multiboot 1 (the specification, section 3) promises 32-bit protected
# mode, paging and interrupts off, the magic number in EAX and the address of its information in EBX.
# It promises neither a stack nor a usable GDT.

	.set MULTIBOOT_MAGIC, 0x1badb002
	.set MULTIBOOT_FLAGS, 0x3		# modules on page boundaries; tell us about memory

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl start
start:
	movl $stack_top, %esp
	pushl $0				# EFLAGS as after reset: no IF, no DF, no NT
	popfl
	pushl %ebx
	pushl %eax
	call segments_init
	call interrupts_init
	call serial_init
	call kernel_main			# kernel_main(magic, information)
	call power_off

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
