/* All entries into the kernel come through trap(): system calls, interrupts, and exceptions, which become signals. */
#include "trap.h"

#include "process.h"
#include "segments.h"
#include "syscall.h"

#define PAGE_FAULT 14
#define FAULT_WRITE 0x2			/* in the error code of a page fault (SDM volume 3, 4.7) */
#define BREAKPOINT 3
#define OVERFLOW 4
#define GATE_FOR_PROCESSES (GATE_INTERRUPT | 0x6000)	/* ring 3 may use it */

extern void *const vector_entries[];	/* entry.S */
void system_call_entry(void);
void trap(struct interrupt_frame *frame);

/* What a program did, by exception: 0 is none of its doing. */
static const uint8_t signal_of[32] = {
	[0] = SIGFPE,			/* division */
	[1] = SIGTRAP, [BREAKPOINT] = SIGTRAP,
	[OVERFLOW] = SIGSEGV, [5] = SIGSEGV,	/* into, bound */
	[6] = SIGILL, [7] = SIGILL,
	[10] = SIGSEGV, [11] = SIGSEGV, [12] = SIGSEGV, [13] = SIGSEGV, [PAGE_FAULT] = SIGSEGV,
	[16] = SIGFPE, [17] = SIGSEGV, [19] = SIGFPE,
};

static int from_process(const struct interrupt_frame *frame)
{
	return (frame->cs & 3) != 0;
}

static void on_exception(struct interrupt_frame *frame)
{
	if (!from_process(frame))
		panic("exception %u in the kernel, error code %x, at %x", frame->vector, frame->error_code, frame->eip);
	signal_fault(signal_of[frame->vector]);
}

static void on_page_fault(struct interrupt_frame *frame)
{
	uint32_t address;

	__asm__ volatile("movl %%cr2, %0" : "=r"(address));
	if (from_process(frame) && space_fault(&current->space, address, (frame->error_code & FAULT_WRITE) != 0))
		return;
	on_exception(frame);
}

void trap(struct interrupt_frame *frame)
{
	if (frame->vector == SYSTEM_CALL_VECTOR)
		system_call(frame);
	else
		interrupt_dispatch(frame);
	if (!from_process(frame))
		return;			/* an interrupt that ended the wait for one */
	if (preemption_due())
		process_yield();
	signals_deliver(frame);
}

void traps_init(void)
{
	for (unsigned vector = 0; vector < sizeof(signal_of); vector++)
		if (signal_of[vector])
			exception_handle(vector, on_exception);
	exception_handle(PAGE_FAULT, on_page_fault);
	gate_set(BREAKPOINT, KERNEL_CODE, (uint32_t)vector_entries[BREAKPOINT], GATE_FOR_PROCESSES);
	gate_set(OVERFLOW, KERNEL_CODE, (uint32_t)vector_entries[OVERFLOW], GATE_FOR_PROCESSES);
	gate_set(SYSTEM_CALL_VECTOR, KERNEL_CODE, (uint32_t)system_call_entry, GATE_FOR_PROCESSES);
}
