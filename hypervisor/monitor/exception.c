/* Exceptions of the guest: raising (operations return false with one noted) and delivering. */
#include "monitor.h"

/* Note an exception with an error code; always false, so that operations can `return raise_...`. */
bool raise_fault(uint32_t vector, uint32_t error)
{
	machine.fault = (struct fault){ vector, error, 1, 0 };
	return false;
}

bool raise_plain(uint32_t vector)
{
	machine.fault = (struct fault){ vector, 0, 0, 0 };
	return false;
}

bool raise_page_fault(uint32_t linear, uint32_t error)
{
	machine.fault = (struct fault){ VECTOR_PF, error, 1, linear };
	return false;
}

/* EXT in the error code: what faults is not the program's doing (SDM vol. 3, 6.13). */
void fault_is_external(void)
{
	if (machine.fault.vector >= VECTOR_TS && machine.fault.vector <= VECTOR_GP)
		machine.fault.error |= 1;
}

enum { BENIGN, CONTRIBUTORY, PAGE };

static int class_of(uint32_t vector)
{
	switch (vector) {
	case VECTOR_DE: case VECTOR_TS: case VECTOR_NP: case VECTOR_SS: case VECTOR_GP: return CONTRIBUTORY;
	case VECTOR_PF: return PAGE;
	default: return BENIGN;
	}
}

static bool makes_double_fault(uint32_t first, uint32_t second)
{
	int a = class_of(first), b = class_of(second);

	return (a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE && b != BENIGN);
}

/* Deliver the noted exception at machine.instruction_eip. A fault on the way makes a double fault where
 * the SDM says so (vol. 3, table 6-5), a fault on the way of that one ends the guest. */
void fault_deliver(void)
{
	struct fault fault = machine.fault;

	vcpu.eip = machine.instruction_eip;
	for (int tries = 0; tries < 8; tries++) {
		if (fault.vector == VECTOR_PF) {
			shared.cr2 = fault.address;
			machine.refill = fault.address;
			machine.refill_valid = 1;
		}
		control.exceptions[fault.vector & 31]++;
		if (tracing(TRACE_DEBUGGER) && !debugger_at_event(STOPPED_EXCEPTION, fault.vector))
			return;
		if (tracing(TRACE_EXCEPTION))
			trace_event(TRACE_EXCEPTION, fault.vector,
				    (uint32_t[5]){ fault.error, fault.address, vcpu.cs.selector }, 0);
		/* Single-step traps and aborts are no faults: they push EFLAGS as it is. */
		bool trap = fault.vector == VECTOR_DB || fault.vector == VECTOR_DF;

		if (interrupt_enter(&(struct event){ fault.vector, fault.error, fault.has_error,
						     trap ? CAUSE_TRAP : CAUSE_FAULT }))
			return;
		if (fault.vector == VECTOR_DF)
			break;
		if (makes_double_fault(fault.vector, machine.fault.vector))
			machine.fault = (struct fault){ VECTOR_DF, 0, 1, 0 };
		fault = machine.fault;
	}
	guest_ends(EXIT_TRIPLE_FAULT, fault.vector);
}

/* Deliver the noted exception, which was raised after `event` had begun to be delivered: in the task that is to
 * handle it. */
void fault_deliver_during(const struct event *event)
{
	if (event->cause != CAUSE_NONE && event->cause != CAUSE_SOFTWARE)
		fault_is_external();
	if (event->cause == CAUSE_FAULT || event->cause == CAUSE_TRAP) {
		if (event->vector == VECTOR_DF)
			guest_ends(EXIT_TRIPLE_FAULT, VECTOR_DF);
		if (makes_double_fault(event->vector, machine.fault.vector))
			machine.fault = (struct fault){ VECTOR_DF, 0, 1, 0 };
	}
	fault_deliver();
}
