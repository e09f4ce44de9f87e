/* From number to function. */
#include "syscall.h"

#include "abi.h"
#include "errors.h"
#include "memory.h"

static int32_t (*const calls[])(const struct call *call) = {
#define CALL(number, name) [number] = sys_##name,
#include "calls.h"
#undef CALL
};

void system_call(struct interrupt_frame *frame)
{
	const struct call call = { frame->ebx, frame->ecx, frame->edx };

	if (frame->eax >= sizeof(calls) / sizeof(calls[0]))
		frame->eax = (uint32_t)-ENOSYS;
	else
		frame->eax = (uint32_t)calls[frame->eax](&call);
}

int path_of(char path[], uint32_t address)
{
	int length = user_string(path, address, PATH_MAX, -ENAMETOOLONG);

	return length < 0 ? length : 0;
}
