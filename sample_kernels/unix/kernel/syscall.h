/* System calls, as the kernel sees them. */
#ifndef SYSCALL_H
#define SYSCALL_H

#include "pc.h"

struct call {
	uint32_t first, second, third;	/* the arguments */
};

/* Each returns its result or minus an error; memory that an argument points to has not been looked at. */
#define CALL(number, name) int32_t sys_##name(const struct call *call);
#include "calls.h"
#undef CALL

void system_call(struct interrupt_frame *frame);

/* syscall.c: a path that a call was given. */
int path_of(char path[], uint32_t address);	/* 0 or an error; there is room for PATH_MAX bytes */

#endif
