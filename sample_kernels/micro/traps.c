/* System calls, exceptions and interrupts. The kernel itself is never interrupted but while it waits. */
#include "cpu.h"
#include "paging.h"
#include "pc.h"
#include "task.h"
#include "trap.h"

#define VECTORS 48
#define IRQS 16
#define EXCEPTION_PAGE_FAULT 14

extern void *const trap_entries[VECTORS];

/* Called by entry.S. */
void trap_handle(struct trap_frame *frame);
void system_call(struct trap_frame *frame);

static struct task *irq_owners[IRQS];

void irq_grant(unsigned irq, struct task *owner)
{
	irq_owners[irq] = owner;
	irq_handle(irq, 0);		/* unmasks it: our own entries come before its handlers */
}

void irq_revoke(const struct task *owner)
{
	for (unsigned irq = 0; irq < IRQS; irq++)
		if (irq_owners[irq] == owner)
			irq_owners[irq] = 0;
}

/* All drivers are programs: an interrupt is a message to one. */
static void interrupt(unsigned irq)
{
	if (irq % 8 != 7 || irq_owners[irq])	/* line 7 of either controller may be a spurious one, without an end */
		irq_acknowledge(irq);
	if (irq_owners[irq])
		ipc_interrupt(irq_owners[irq], irq);
}

static _Noreturn void program_fault(const struct trap_frame *frame)
{
	print("micro: %s is ended by exception %u, error code %x", current->name, frame->vector, frame->error_code);
	if (frame->vector == EXCEPTION_PAGE_FAULT)
		print(", at %x", read_cr2());
	print("\n");
	task_end();
}

void trap_handle(struct trap_frame *frame)
{
	int from_program = (frame->cs & 3) == 3;

	if (frame->vector >= IRQ_BASE)
		interrupt(frame->vector - IRQ_BASE);
	else if (from_program)
		program_fault(frame);
	else
		panic("exception %u in the kernel, error code %x, at %x", frame->vector, frame->error_code, frame->eip);
	if (from_program)
		task_preempt(frame->vector == IRQ_BASE + IRQ_TIMER);
}

static int message_call(uint32_t number, uint32_t task, struct message *message)
{
	int result;

	if (!space_covers(current->space, (uint32_t)message, sizeof(*message)))
		return ERROR_ADDRESS;
	if (number != CALL_RECEIVE)
		current->message = *message;
	switch (number) {
	case CALL_SEND:
		return ipc_send(task, 0);
	case CALL_REPLY:
		return ipc_reply(task);
	case CALL_CALL:
		result = ipc_send(task, 1);
		break;
	default:
		result = ipc_receive(task);
	}
	if (result >= 0)
		*message = current->message;
	return result;
}

void system_call(struct trap_frame *frame)
{
	if (frame->eax == CALL_EXIT)
		task_end();
	if (frame->eax > CALL_EXIT)
		frame->eax = (uint32_t)ERROR_CALL;
	else
		frame->eax = (uint32_t)message_call(frame->eax, frame->ebx, (struct message *)frame->esi);
	task_preempt(0);
	frame->ecx = frame->esp;	/* where sysexit looks */
	frame->edx = frame->eip;
}

void traps_init(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++)
		gate_set(vector, KERNEL_CODE, (uint32_t)trap_entries[vector], GATE_INTERRUPT);
}
