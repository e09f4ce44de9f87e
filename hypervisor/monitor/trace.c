/* The trace ring: fixed-size records in shared memory; the VMM reads, the monitor never waits. */
#include "monitor.h"

static uint32_t latency_since(uint64_t start)
{
	uint64_t cycles = read_tsc() - start;

	return cycles < UINT32_MAX ? (uint32_t)cycles : UINT32_MAX;
}

/* Put `record` into the ring. The VMM is called when half is used, and again each quarter later. */
static void publish(const struct trace_record *record)
{
	struct trace_record *ring = (struct trace_record *)(state + TRACE_OFFSET);
	uint64_t head = control.trace_head, used = head - __atomic_load_n(&control.trace_tail, __ATOMIC_ACQUIRE);

	if (used >= control.trace_slots) {
		control.trace_lost++;
		return;
	}
	struct trace_record *slot = &ring[head & (control.trace_slots - 1)];

	*slot = *record;
	slot->sequence = (uint32_t)++head;
	__atomic_store_n(&control.trace_head, head, __ATOMIC_RELEASE);
	if (++used >= control.trace_slots / 2 && !(used & (control.trace_slots / 4 - 1)))
		trace_doorbell();
}

static struct trace_record record_of(uint32_t kind, uint32_t number, uint64_t start, const uint32_t args[5])
{
	return (struct trace_record){
		.tsc = start, .kind = (uint8_t)kind, .cpl = (uint8_t)vcpu.cpl, .number = (uint8_t)number,
		.eip = machine.instruction_eip, .cr3 = shared.cr3, .esp = vcpu.esp,
		.args = { args[0], args[1], args[2], args[3], args[4] },
	};
}

/* Something that takes no time worth telling. */
void trace_event(uint32_t kind, uint32_t number, const uint32_t args[5], uint32_t result)
{
	struct trace_record record = record_of(kind, number, read_tsc(), args);

	record.result = result;
	publish(&record);
}

/* Something that began at `start` and is done. */
void trace_span(uint32_t kind, uint32_t number, uint64_t start, const uint32_t args[5])
{
	struct trace_record record = record_of(kind, number, start, args);

	record.latency = latency_since(start);
	publish(&record);
}

/* A hypercall begins. It may end in another process (write_cr3) or never (power-off), so what is known
 * lies in the control block. */
void trace_call_begins(uint32_t number)
{
	control.open_operation = record_of(TRACE_HYPERCALL, number, read_tsc(),
				      (uint32_t[5]){ vcpu.eax, vcpu.ebx, vcpu.ecx, vcpu.edx, vcpu.esi });
	control.open_operation.operand[0] = vcpu.edi;
}

/* The same for an instruction that trapped. */
void trace_instruction_begins(const struct instruction *in, uint32_t vector, uint32_t error)
{
	uint32_t args[5] = { 0, 0, 0, vector, error };

	memcpy(args, in->bytes, 12);
	control.open_operation = record_of(TRACE_EMULATED, in->opcode, read_tsc(), args);
}

static uint32_t shown(const struct operand *operand)
{
	return operand->memory ? operand->offset : register_read(operand->reg, operand->size);
}

/* The explicit operands, before the operation and, since it may have written registers, behind it. */
void trace_operands(const struct call *call, bool carried)
{
	struct trace_record *record = &control.open_operation;

	record->in_memory = carried && call->a.memory;
	record->operand[0] = carried ? shown(&call->a) : call->immediate;
	record->operand[1] = carried ? shown(&call->b) : call->immediate2;
}

/* Also called by the process that takes over the vCPU, whatever the reason. */
void trace_operation_ends(void)
{
	struct trace_record *record = &control.open_operation;

	if (!record->tsc)
		return;
	record->result = vcpu.eax;
	record->latency = latency_since(record->tsc);
	publish(record);
	record->tsc = 0;
}

/* The exit in control.exit begins. */
void trace_exit_begins(void)
{
	const struct exit_record *exit = &control.exit;

	control.open_exit = record_of(TRACE_EXIT, exit->reason, read_tsc(),
				      (uint32_t[5]){ exit->port, (uint32_t)exit->address, exit->size, exit->count,
						     exit->value });
}

void trace_exit_ends(uint32_t answer)
{
	struct trace_record *record = &control.open_exit;

	record->result = answer;
	record->latency = latency_since(record->tsc);
	publish(record);
	record->tsc = 0;
}
