# Ways into the kernel and out of it, in Intel syntax. All of them leave a struct trap_frame (trap.h) on the task's
# kernel stack.

	.intel_syntax noprefix

	.set KERNEL_DATA, 0x10
	.set USER_CODE, 0x1b
	.set USER_DATA, 0x23
	.set TSS_ESP0, 4
	.set USER_EFLAGS, 0x202
	.set WITH_ERROR_CODE, 0x227d00		# vectors 8, 10-14, 17 and 21

	.section .rodata
	.balign 4
	.globl trap_entries			# void *trap_entries[48]
trap_entries:

	.text
	.set number, 0
	.rept 48
	.pushsection .rodata
	.long 1f
	.popsection
1:
	.if (WITH_ERROR_CODE >> number & 1) == 0
	push 0
	.endif
	push number
	jmp trap_common
	.set number, number + 1
	.endr

trap_common:
	pushad
	push ds
	push es
	mov eax, KERNEL_DATA
	mov ds, ax
	mov es, ax
	cld
	push esp
	call trap_handle
	add esp, 4
	pop es
	pop ds
	popad
	add esp, 8				# vector and error code
	iretd

# sysenter gives CS, SS, EIP and ESP by MSRs, saves nothing, and clears IF. The MSR for ESP names the TSS, in which the
# stack of the current task is found.
	.globl sysenter_entry
sysenter_entry:
	mov esp, ss:[esp + TSS_ESP0]
	push USER_DATA
	push ecx
	push USER_EFLAGS
	push USER_CODE
	push edx
	push 0
	push 0
	pushad
	push ds
	push es
	mov eax, KERNEL_DATA
	mov ds, ax
	mov es, ax
	cld
	push esp
	call system_call
	add esp, 4
	pop es
	pop ds
	popad					# with EAX, ECX and EDX as system_call() left them
	add esp, 28
	sti					# takes effect behind the next instruction
	sysexit

# A new task's first way out.
	.globl enter_user
enter_user:
	pop es
	pop ds
	popad
	add esp, 8
	iretd

# void switch_stacks(uint32_t **save, uint32_t *load)
	.globl switch_stacks
switch_stacks:
	mov eax, [esp + 4]
	mov edx, [esp + 8]
	push ebp
	push ebx
	push esi
	push edi
	mov [eax], esp
	mov esp, edx
	pop edi
	pop esi
	pop ebx
	pop ebp
	ret

	.section .note.GNU-stack, "", @progbits
