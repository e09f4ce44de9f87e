/* Selectors, and how the kernel is entered. */
#ifndef SEGMENTS_H
#define SEGMENTS_H

#define SYSTEM_CALL_VECTOR 0x80

#define USER_CODE 0x1b		/* the two low bits: for ring 3 */
#define USER_DATA 0x23
#define TASK_STATE 0x28

#ifdef __ASSEMBLER__
#define KERNEL_DATA 0x10	/* as in pc.h, which is C */
#else
#include <stdint.h>

/* Where the stack of the kernel begins when ring 3 is interrupted from now on. */
void kernel_stack_set(uint32_t top);
#endif

#endif
