# Where the boot loader enters, as in ../common/start.S; but the kernel is linked for the addresses from KERNEL_BASE on,
# so paging comes first. Intel syntax.

#include "paging.h"

	.intel_syntax noprefix

	.set MULTIBOOT_MAGIC, 0x1badb002
	.set MULTIBOOT_FLAGS, 0x3		# modules on page boundaries; tell us about memory
	.set CR0_PAGING, 0x80010000		# and read-only pages are so for the kernel, too
	.set CR4_PSE, 0x10			# pages of 4 MiB
	.set PAGE, 0x83				# present, writable, 4 MiB

# Linked where it is loaded.
	.section .boot, "ax"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.globl start
start:
	mov ecx, offset kernel_space - KERNEL_BASE
	mov cr3, ecx
	mov ecx, cr4
	or ecx, CR4_PSE
	mov cr4, ecx
	mov ecx, cr0
	or ecx, CR0_PAGING
	mov cr0, ecx
	mov ecx, offset 1f
	jmp ecx

	.text
1:	mov esp, offset stack_top
	push 0					# EFLAGS as after reset: no IF, no DF, no NT
	popfd
	mov dword ptr kernel_space, 0		# nothing runs there any more; KERNEL_BASE on is all that stays
	mov ecx, cr3
	mov cr3, ecx
	push ebx
	push eax
	call segments_init
	call interrupts_init
	call serial_init
	call kernel_main			# kernel_main(magic, information)

# The kernel's own page directory: memory from 0 on at KERNEL_BASE, and for the first instructions at 0, too.
	.data
	.balign 4096
	.globl kernel_space
kernel_space:
	.long PAGE
	.fill (KERNEL_BASE >> 22) - 1, 4, 0
	.set page, 0
	.rept KERNEL_MEMORY >> 22
	.long page << 22 | PAGE
	.set page, page + 1
	.endr
	.fill 1024 - (KERNEL_BASE >> 22) - (KERNEL_MEMORY >> 22), 4, 0

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
