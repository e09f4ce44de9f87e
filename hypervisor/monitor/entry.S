/* The two doors between guest code and the monitor: the landing stubs and gate_entry on the way in,
 * resume on the way out. Guest code is 32-bit on LDT segments, the monitor 64-bit on selector 0x33. */
#include "abi.h"

/* DF, TF, NT, AC, ID: rarely set; while none is, flags are restored by sahf instead of the slow popf. */
#define SYSTEM_FLAGS 0x244500

#define V(field) (vcpu + VCPU_##field)(%rip)

/* All but ESP; changes no flag. */
.macro load_registers
	mov V(ECX), %ecx
	mov V(EDX), %edx
	mov V(EBX), %ebx
	mov V(EBP), %ebp
	mov V(ESI), %esi
	mov V(EDI), %edi
	mov V(EAX), %eax
.endm

	.text
	.globl _start
_start:
	xor %ebp, %ebp
	lea monitor_stack_top(%rip), %rsp
	call monitor_main
	ud2

/* A gate's far jump ends in a landing stub (made by landing_write), which stores the guest's ESP,
 * takes the monitor's stack, pushes the hypercall number and jumps here. */
	.globl gate_entry
gate_entry:
	mov %eax, V(EAX)
	mov %ecx, V(ECX)
	mov %edx, V(EDX)
	mov %ebx, V(EBX)
	mov %ebp, V(EBP)
	mov %esi, V(ESI)
	mov %edi, V(EDI)
	lea monitor_stack_top-8(%rip), %rsp	/* where it is, unless the guest jumped into a stub's middle */
	pushfq
	pop %rax
	mov %eax, V(EFLAGS)
	test $SYSTEM_FLAGS, %eax	/* DF, AC and TF would act on the monitor too */
	jnz 2f
1:	pop %rdi
	call hypercall_from_gate
	jmp resume
2:	push $2
	popfq
	jmp 1b

/* The short way met an unmapped page: the same hypercall again, the long way. */
	.globl gate_restart
gate_restart:
	lea monitor_stack_top(%rip), %rsp
	mov machine_gate_number(%rip), %edi
	call hypercall_long_way
	jmp resume

/* Go on with guest code as the vCPU says. Never returns to its caller. A signal that arrives between
 * resume_window and resume_window_end is sent back to `resume` by its handler: otherwise an event
 * that it noted would wait until the guest's next call. */
	.globl resume, resume_window, resume_window_end
1:	call resume_work
resume:
	lea monitor_stack_top(%rip), %rsp
resume_window:
	mov machine_events(%rip), %eax
	or machine_segments_lost(%rip), %eax
	jnz 1b
	cmpl $0, host_ss_lost(%rip)
	je 2f
	mov V(HOST_SS), %eax
	mov %eax, %ss
	movl $0, host_ss_lost(%rip)
2:	mov V(EFLAGS), %eax
	mov %eax, %ecx
	and $SYSTEM_FLAGS, %ecx
	or host_flags_lost(%rip), %ecx
	jnz 3f
	mov %eax, %ecx
	shl $8, %eax			/* SF ZF AF PF CF into AH */
	shr $11, %ecx
	and $1, %ecx
	add $0x7f, %cl			/* OF: set by 1 + 0x7f */
	sahf				/* leaves OF alone */
	load_registers
	mov V(ESP), %esp
	ljmp *V(EIP)			/* m16:32: EIP and the host's selector for CS */
3:	movl $0, host_flags_lost(%rip)
	test $0x100, %eax
	jnz 4f
	push %rax
	popfq
	load_registers
	mov V(ESP), %esp
	ljmp *V(EIP)
	/* Single step: only iret sets TF so that the guest's next instruction is the one to trap. */
4:	push $2				/* the guest's NT would make iretq fault */
	popfq
	mov V(HOST_SS), %ecx
	push %rcx
	mov V(ESP), %ecx
	push %rcx
	push %rax
	mov V(HOST_CS), %ecx
	push %rcx
	mov V(EIP), %ecx
	push %rcx
	load_registers
	iretq
resume_window_end:

/* bool raw_load(uint32_t host_linear, void *to, uint32_t size)
 * bool raw_store(uint32_t host_linear, const void *from, uint32_t size)
 * bool raw_copy(void *to, const void *from, uint64_t size)
 * Touch guest memory as it is mapped now, or a disk image; false where that faults (the handler of SIGSEGV
 * and SIGBUS continues at raw_failed). They keep nothing on the stack. */
	.globl raw_load, raw_store, raw_copy, raw_start, raw_end, raw_failed
raw_start:
raw_copy:
	mov %rdx, %rcx
	rep movsb
	mov $1, %eax
	ret
raw_load:
	mov %edi, %edi
	jmp 1f
raw_store:
	mov %edi, %edi
	xchg %rdi, %rsi
1:	mov %edx, %ecx
	shr $2, %ecx			/* descriptors and stack frames: whole dwords, no string start-up */
	jz 3f
	cmp $8, %ecx
	ja 4f
2:	mov (%rdi), %eax
	mov %eax, (%rsi)
	add $4, %rdi
	add $4, %rsi
	dec %ecx
	jnz 2b
3:	and $3, %edx
	jnz 5f
	mov $1, %eax
	ret
5:	mov %edx, %ecx
	xchg %rdi, %rsi
	rep movsb
	mov $1, %eax
	ret
4:	mov %edx, %ecx
	xchg %rdi, %rsi
	rep movsb
	mov $1, %eax
	ret
raw_end:
raw_failed:
	xor %eax, %eax
	ret

	.globl memcpy, memset
memcpy:
	mov %rdi, %rax
	mov %rdx, %rcx
	rep movsb
	ret
memset:
	mov %rdi, %r8
	mov %esi, %eax
	mov %rdx, %rcx
	rep stosb
	mov %r8, %rax
	ret

	.globl signal_restorer
signal_restorer:
	mov $15, %eax			/* rt_sigreturn */
	syscall

	.bss
	.balign 4096
	.globl monitor_stack, monitor_stack_top
monitor_stack:
	.skip 256 * 1024
monitor_stack_top:

	.section .note.GNU-stack,"",@progbits
