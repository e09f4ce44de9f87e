/* The trace ring: fixed-size records in shared memory; the VMM reads, the monitor never waits. */
#include "monitor.h"

static struct trace_record *next(void)
{
	struct trace_record *ring = (struct trace_record *)(state + TRACE_OFFSET);

	if (control.trace_head - __atomic_load_n(&control.trace_tail, __ATOMIC_ACQUIRE) >= control.trace_slots) {
		control.trace_lost++;
		return NULL;
	}
	return &ring[control.trace_head & (control.trace_slots - 1)];
}

static void publish(struct trace_record *record)
{
	record->sequence = (uint32_t)control.trace_head + 1;
	__atomic_store_n(&control.trace_head, control.trace_head + 1, __ATOMIC_RELEASE);
	/* Half full: the VMM should come. */
	if (control.trace_head - control.trace_tail == control.trace_slots / 2)
		trace_doorbell();
}

static void write_record(uint32_t kind, uint32_t number, uint32_t eip, uint64_t start, uint32_t latency,
			 const uint32_t args[5], uint32_t result)
{
	struct trace_record *record = next();

	if (!record)
		return;
	record->tsc = start;
	record->kind = (uint8_t)kind;
	record->cpl = (uint8_t)vcpu.cpl;
	record->number = (uint16_t)number;
	record->eip = eip;
	record->cr3 = shared.cr3;
	record->esp = vcpu.esp;
	for (uint32_t i = 0; i < 5; i++)
		record->args[i] = args[i];
	record->result = result;
	record->latency = latency;
	record->reserved = 0;
	publish(record);
}

void trace_event(uint32_t kind, uint32_t number, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t args[5] = { a, b, c, 0, 0 };

	if (tracing(kind))
		write_record(kind, number, machine.instruction_eip, read_tsc(), 0, args, 0);
}

void trace_span(uint32_t kind, uint32_t number, uint32_t eip, uint64_t start, const uint32_t args[5], uint32_t result)
{
	if (tracing(kind))
		write_record(kind, number, eip, start, (uint32_t)(read_tsc() - start), args, result);
}

/* A hypercall begins; it may end in another process (write_cr3), so what is known lies in `machine`. */
void trace_begin(uint32_t number)
{
	struct trace_call *call = &machine.trace_call;

	*call = (struct trace_call){ read_tsc(), number, machine.instruction_eip,
				     { vcpu.eax, vcpu.ebx, vcpu.ecx, vcpu.edx, vcpu.esi } };
}

void trace_end(void)
{
	struct trace_call *call = &machine.trace_call;

	if (!call->start)
		return;
	trace_span(TRACE_HYPERCALL, call->number, call->eip, call->start, call->args, vcpu.eax);
	call->start = 0;
}
