/* Into the kernel: descriptor tables, system calls, exceptions, interrupts. */
#ifndef TRAP_H
#define TRAP_H

#include <stdint.h>

#define USER_CODE 0x1b
#define USER_DATA 0x23

/* What entry.S leaves on the stack, lowest address first. */
struct trap_frame {
	uint32_t es, ds;
	uint32_t edi, esi, ebp, esp_at_pushad, ebx, edx, ecx, eax;
	uint32_t vector;
	uint32_t error_code;
	uint32_t eip, cs, eflags;
	uint32_t esp, ss;	/* only if the trap came from a program */
};

struct task;

/* protection.c: segments, and the registers that sysenter looks at. */
void protection_init(void);
/* The kernel stack and the ports of the task that runs next. */
void protection_switch(const struct task *next);

/* traps.c */
void traps_init(void);
/* The task gets the interrupt as a message from now on. */
void irq_grant(unsigned irq, struct task *owner);
void irq_revoke(const struct task *owner);

#endif
