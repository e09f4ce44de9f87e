/* The trace ring: fixed-size records in shared memory; the VMM reads, the monitor never waits. */
#include "monitor.h"

enum { MARK_BYTES = 28 }; /* in `args` and `operand` of a record */

/* The stack of control.open_operation, as the pieces of a trace_stack have it. */
enum { HEAD_WORDS = 6, PIECE_WORDS = 12, STACK_WORDS = HEAD_WORDS + TRACE_STACK_MOST / 4 };
#define kept_stack ((uint32_t *)(state + TRACE_STACK_OFFSET))

static uint32_t latency_since(uint64_t start)
{
	uint64_t cycles = read_tsc() - start;

	return cycles < UINT32_MAX ? (uint32_t)cycles : UINT32_MAX;
}

/* --- the ring -------------------------------------------------------------------------------------- */

/* Put `record` into the ring. The VMM is called when half is used, and again each quarter later. */
static void put(const struct trace_record *record)
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

/* The stack that belongs to `record`, `words` of it with its head. */
static void put_stack(const struct trace_record *record, uint32_t words)
{
	struct trace_stack piece = { .tsc = record->tsc, .kind = TRACE_STACK, .cpl = record->cpl };

	for (uint32_t first = 0; first < words && first < STACK_WORDS; first += PIECE_WORDS, piece.number++) {
		uint32_t count = words - first < PIECE_WORDS ? words - first : PIECE_WORDS;

		memset(piece.words, 0, sizeof(piece.words));
		memcpy(piece.words, kept_stack + first, count * 4);
		put((struct trace_record *)&piece);
	}
}

static void publish(const struct trace_record *record, uint32_t stack_words)
{
	if (!trace_wanted(record))
		return;
	if (stack_words)
		put_stack(record, stack_words);
	put(record);
}

/* --- stacks ---------------------------------------------------------------------------------------- */

/* Bytes of the guest's stack at `linear`, as many as lie on one page and can be read without asking anybody. The page
 * of the stack pointer is looked up in the guest's tables where the host does not map it, the others are not. */
static uint32_t stack_bytes(uint32_t linear, uint8_t *to, uint32_t size, bool look_up)
{
	uint32_t rest = PAGE_SIZE - (linear & PAGE_MASK), part = size < rest ? size : rest;
	struct fault keep = machine.fault;

	if (linear - HOLE < HOLE_SIZE)
		return 0;
	if (raw_load(linear + control.slide, to, part))
		return part;
	const uint8_t *from = look_up ? guest_ram(linear, part, 0) : NULL;

	machine.fault = keep;
	if (!from)
		return 0;
	memcpy(to, from, part);
	return part;
}

/* Copy the guest's stack to kept_stack; how many words it takes with its head, 0 where none is asked for. User code has
 * symbols of its own, which nobody knows, so its stacks are left alone. */
static uint32_t stack_copy(void)
{
	uint32_t wish = control.trace_stack < TRACE_STACK_MOST ? control.trace_stack & ~3u : TRACE_STACK_MOST, done = 0;

	if (!wish || vcpu.cpl == 3)
		return 0;
	while (done < wish) {
		uint32_t part = stack_bytes(stack_linear(done), (uint8_t *)(kept_stack + HEAD_WORDS) + done, wish - done,
					    !done);

		if (!part)
			break;
		done += part;
	}
	memcpy(kept_stack, ((uint32_t[HEAD_WORDS]){ vcpu.ebx, vcpu.esi, vcpu.edi, vcpu.ebp, vcpu.ss.base, done & ~3u }),
	       HEAD_WORDS * 4);
	return HEAD_WORDS + done / 4;
}

static uint32_t kept_stack_words(void)
{
	return control.open_stack ? HEAD_WORDS + kept_stack[HEAD_WORDS - 1] / 4 : 0;
}

/* --- records --------------------------------------------------------------------------------------- */

static uint32_t nesting(void) { return (control.open_operation.tsc != 0) + (control.open_exit.tsc != 0); }

static struct trace_record record_of(uint32_t kind, uint32_t number, uint64_t start, const uint32_t args[5])
{
	return (struct trace_record){
		.tsc = start, .kind = (uint8_t)kind, .cpl = (uint8_t)vcpu.cpl, .number = (uint8_t)number,
		.flags = (uint8_t)(nesting() << 4), .eip = original_eip(machine.instruction_eip), .cr3 = shared.cr3, .esp = vcpu.esp,
		.args = { args[0], args[1], args[2], args[3], args[4] },
	};
}

/* Something that takes no time worth telling. Within an operation, its stack is that of the operation. */
void trace_event(uint32_t kind, uint32_t number, const uint32_t args[5], uint32_t result)
{
	struct trace_record record = record_of(kind, number, read_tsc(), args);

	record.result = result;
	publish(&record, record.flags & TRACE_FLAG_NESTING || kind == TRACE_SWITCH ? 0 : stack_copy());
}

/* Something that began at `start` and is done. */
void trace_span(uint32_t kind, uint32_t number, uint64_t start, const uint32_t args[5])
{
	struct trace_record record = record_of(kind, number, start, args);

	record.latency = latency_since(start);
	publish(&record, record.flags & TRACE_FLAG_NESTING || kind == TRACE_IDLE ? 0 : stack_copy());
}

static void open(const struct trace_record *record)
{
	control.open_operation = *record;
	control.open_stack = stack_copy() != 0;
}

/* A hypercall begins. It may end in another process (write_cr3) or never (power-off), so what is known
 * lies in the control block. */
void trace_call_begins(uint32_t number)
{
	struct trace_record record = record_of(TRACE_HYPERCALL, number, read_tsc(),
					       (uint32_t[5]){ vcpu.eax, vcpu.ebx, vcpu.ecx, vcpu.edx, vcpu.esi });

	record.operand[0] = vcpu.edi;
	open(&record);
}

/* The same for an instruction that trapped. */
void trace_instruction_begins(const struct instruction *in, uint32_t vector, uint32_t error)
{
	uint32_t args[5] = { 0, 0, 0, vector, error };

	memcpy(args, in->bytes, 12);
	struct trace_record record = record_of(TRACE_EMULATED, in->opcode, read_tsc(), args);

	open(&record);
}

static uint32_t shown(const struct operand *operand)
{
	return operand->memory ? operand->offset : register_read(operand->reg, operand->size);
}

/* The explicit operands, before the operation and, since it may have written registers, behind it. */
void trace_operands(const struct call *call, bool carried)
{
	struct trace_record *record = &control.open_operation;

	record->flags = (uint8_t)((record->flags & TRACE_FLAG_NESTING) |
				  (carried && call->a.memory ? TRACE_FLAG_IN_MEMORY : 0));
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
	publish(record, kept_stack_words());
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

	if (!record->tsc)
		return;
	record->result = answer;
	record->latency = latency_since(record->tsc);
	publish(record, 0);
	record->tsc = 0;
}

/* The guest's own mark: a text at DS:EBX of ECX bytes, and the number in EDX. */
bool trace_mark(void)
{
	struct operand at = { .memory = true, .segment = SEG_DS, .offset = vcpu.ebx };
	uint32_t length = vcpu.ecx < MARK_BYTES ? vcpu.ecx : MARK_BYTES, linear;
	uint8_t text[MARK_BYTES] = { 0 };

	if (!operand_linear(&at, length ? length : 1, false, &linear) ||
	    !guest_read(linear, text, length, vcpu.cpl == 3 ? ACCESS_USER : 0))
		return false;
	if (!tracing(TRACE_MARK))
		return true;
	struct trace_record record = record_of(TRACE_MARK, length, read_tsc(), (uint32_t[5]){ 0 });

	memcpy(record.args, text, sizeof(record.args));
	memcpy(record.operand, text + sizeof(record.args), sizeof(record.operand));
	record.result = vcpu.edx;
	publish(&record, 0);
	return true;
}
