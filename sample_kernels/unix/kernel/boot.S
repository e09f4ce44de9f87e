# Where the boot loader enters (multiboot 1): 32-bit protected mode, paging off, at addresses for which this kernel is
# not linked. Turns paging on with the directory below and goes on where it is linked for.

#include "memory.h"

	.set MULTIBOOT_MAGIC, 0x1badb002
	.set MULTIBOOT_FLAGS, 0x3		# modules on page boundaries; tell us about memory

	.set CR0_PAGING, 1 << 31 | 1 << 16	# paging, and read-only pages are read-only for ring 0, too
	.set CR4_LARGE_PAGES, 1 << 4

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl start
start:
	movl %cr4, %ecx
	orl $CR4_LARGE_PAGES, %ecx
	movl %ecx, %cr4
	movl $kernel_directory - KERNEL_BASE, %ecx
	movl %ecx, %cr3
	movl %cr0, %ecx
	orl $CR0_PAGING, %ecx
	movl %ecx, %cr0
	movl $high, %ecx
	jmp *%ecx
high:
	movl $0, kernel_directory		# nothing runs at the lower addresses any more
	movl %cr3, %ecx
	movl %ecx, %cr3
	movl $boot_stack_top, %esp
	pushl $0				# EFLAGS as after reset: no IF, no DF, no NT
	popfl
	pushl %ebx
	pushl %eax
	call segments_init
	call interrupts_init
	call serial_init
	call kernel_main			# kernel_main(magic, information), which does not return

# The kernel's half of every address space: all memory that the kernel uses, by pages of 4 MiB. The first entry
# maps `start` where it runs.
	.data
	.balign PAGE_SIZE
	.globl kernel_directory
kernel_directory:
	.long PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE
	.fill (KERNEL_BASE >> 22) - 1, 4, 0
	.set at, 0
	.rept DIRECT_MAP >> 22
	.long at | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE
	.set at, at + (1 << 22)
	.endr
	.fill 1024 - (KERNEL_BASE >> 22) - (DIRECT_MAP >> 22), 4, 0

	.bss
	.balign 16
	.skip PAGE_SIZE
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
