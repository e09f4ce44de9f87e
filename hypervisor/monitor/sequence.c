/* Instructions that ported code does by an inline sequence of others (hypercalls/sequences.py).
 *
 * The guest's author wrote one instruction. Where its sequence is stopped in the middle, by a fault or by a
 * single step, what ran of it is undone and the monitor does the instruction as a whole: it faults, or takes
 * effect, as the one instruction would, and EIP points to its start or behind it. */
#include "monitor.h"

#define NO_REGISTER 0xfu

struct sequence {
	uint8_t action, reg, segment, size, count, bytes;
	struct {
		uint8_t length, below, saved, done;
	} step[SEQUENCE_STEPS_MAX];
	uint8_t code[SEQUENCE_BYTES_MAX];
};

static const struct sequence sequences[] = { SEQUENCES };
#define COUNT (sizeof(sequences) / sizeof(sequences[0]))
_Static_assert(SEQUENCE_BYTES_MAX <= COPY_MOST_BEHIND, "replaced_in_copy");

/* All steps in the order of their first byte, so that few need comparing: `first[b]` is where those with byte b
 * begin. */
static struct place {
	uint8_t sequence, step, offset;
} places[COUNT * SEQUENCE_STEPS_MAX];
static uint16_t first[257];
_Static_assert(COUNT <= 256, "struct place");

void sequences_prepare(void)
{
	uint16_t next = 0;

	for (uint32_t byte = 0; byte < 256; byte++) {
		first[byte] = next;
		for (uint32_t i = 0; i < COUNT; i++)
			for (uint32_t k = 0, offset = 0; k < sequences[i].count; offset += sequences[i].step[k++].length)
				if (sequences[i].code[offset] == byte)
					places[next++] = (struct place){ (uint8_t)i, (uint8_t)k, (uint8_t)offset };
	}
	first[256] = next;
}

static bool code_is(const struct sequence *s, uint32_t eip)
{
	uint8_t bytes[SEQUENCE_BYTES_MAX];
	struct fault keep = machine.fault;

	if (guest_read(vcpu.cs.base + eip, bytes, s->bytes, 0)) {
		for (uint32_t i = 0; i < s->bytes; i++)
			if (bytes[i] != s->code[i])
				return false;
		return true;
	}
	machine.fault = keep;
	return false;
}

/* The sequence of which the instruction at `eip` is a step; its start, and the step's number. */
static const struct sequence *find(uint32_t eip, uint32_t *start, uint32_t *step)
{
	uint8_t bytes[2];
	struct fault keep = machine.fault;

	if (!guest_read(vcpu.cs.base + eip, bytes, 2, 0)) {
		machine.fault = keep;
		return NULL;
	}
	for (uint32_t i = first[bytes[0]]; i < first[bytes[0] + 1]; i++) {
		const struct place *p = &places[i];
		const struct sequence *s = &sequences[p->sequence];

		if ((s->step[p->step].length > 1 && s->code[p->offset + 1] != bytes[1]) || !code_is(s, eip - p->offset))
			continue;
		*start = eip - p->offset;
		*step = p->step;
		return s;
	}
	return NULL;
}

/* Registers as they were before the sequence. */
static bool undo(const struct sequence *s, uint32_t step)
{
	uint32_t saved = s->step[step].saved, value;

	for (uint32_t i = 0; i < 2 && (saved & 0xf) != NO_REGISTER; i++, saved >>= 4) {
		if (!guest_read(stack_linear(4 * i), &value, 4, vcpu.cpl == 3 ? ACCESS_USER : 0))
			return false;
		register_write(saved & 0xf, 4, value);
	}
	stack_release((int32_t)s->step[step].below);
	return true;
}

static bool store(const struct sequence *s)
{
	register_write(s->reg, s->size, segment_selector(s->segment));
	return true;
}

static bool read_control(const struct sequence *s)
{
	const uint32_t values[5] = { shared.cr0, 0, shared.cr2, shared.cr3, shared.cr4 };

	if (!is_privileged())
		return false;
	register_write(s->reg, 4, values[s->segment]);
	return true;
}

static bool perform(const struct sequence *s)
{
	switch (s->action) {
	case SEQUENCE_CLI: return set_interrupts(false);
	case SEQUENCE_STI: return set_interrupts(true);
	case SEQUENCE_PUSHF: return push_item(flags_for_guest(), 4);
	case SEQUENCE_POPF: return pop_flags();
	case SEQUENCE_LOAD: return segment_load(s->segment, register_read(s->reg, 2));
	case SEQUENCE_STORE: return store(s);
	case SEQUENCE_PUSH: return push_item(segment_selector(s->segment), s->size);
	case SEQUENCE_POP: return pop_segment(s->segment, s->size);
	default: return read_control(s);
	}
}

/* Guest code stopped at vcpu.eip. True where that is in a sequence: then the instruction is done as a whole, or
 * its fault delivered. `inside`: only where part of the sequence has run. */
bool sequence_complete(bool inside)
{
	uint32_t start, step;
	const struct sequence *s = find(vcpu.eip, &start, &step);

	if (!s || (inside && !step))
		return false;
	machine.instruction_eip = start;
	if (s->step[step].done) {
		/* popf, with what may have become deliverable */
		vcpu.eip = start + s->bytes;
		popf_settle();
		return true;
	}
	vcpu.eip = start + s->bytes;
	if (!undo(s, step)) {
		fault_deliver();
		return true;
	}
	if (s->action == SEQUENCE_INT || s->action == SEQUENCE_SYSENTER) {
		/* They need no stack of their own; the vector of int is behind the sequence. */
		hypercall_serve(s->action == SEQUENCE_INT ? HC_INT : HC_SYSENTER);
		return true;
	}
	/* The store that sti begins with has run, so it is not seen below that interrupts were off. */
	if (s->action == SEQUENCE_STI && step && !machine.stepped)
		machine.shadow = true;
	if (!perform(s))
		fault_deliver();
	return true;
}

static uint32_t sequence_size(uint32_t entry)
{
	uint32_t index = entry >> 8;

	return index && index <= COUNT ? sequences[index - 1].bytes : 0;
}

/* The sequence that began at the last instruction before coverage put something over it, also in a copy that the
 * guest has made of its code: the rest of the sequence is still there, but does not always tell which it was. */
static const struct sequence *covered(void)
{
	uint32_t linear = vcpu.cs.base + machine.instruction_eip, index = replaced_at(linear) >> 8;

	if (!index)
		index = replaced_in_copy(linear, sequence_size, true) >> 8;
	return index && index <= COUNT ? &sequences[index - 1] : NULL;
}

/* Its action; NO_SEQUENCE where there is none. */
uint32_t sequence_covered_action(void)
{
	const struct sequence *s = covered();

	return s ? s->action : NO_SEQUENCE;
}

bool sequence_covered(void)
{
	const struct sequence *s = covered();

	if (!s)
		return raise_plain(VECTOR_UD);
	vcpu.eip = machine.instruction_eip + s->bytes;
	return perform(s);
}

bool sequence_begins(void)
{
	uint32_t start, step;

	return find(vcpu.eip, &start, &step) != NULL;
}

static bool behind(uint32_t action)
{
	for (uint32_t i = 0; i < COUNT; i++)
		if (sequences[i].action == action && code_is(&sequences[i], vcpu.eip - sequences[i].bytes))
			return true;
	return false;
}

/* Is vcpu.eip right behind an inline sti? Then no interrupt may be taken before one more instruction. */
bool sequence_behind_sti(void) { return behind(SEQUENCE_STI); }

/* Right behind an inline popf? If that has set TF, one more instruction runs before the trap. */
bool sequence_behind_popf(void) { return behind(SEQUENCE_POPF); }

/* The gate at vcpu's last instruction ends a sequence of sti. */
bool sequence_is_sti(void)
{
	uint32_t start, step;
	const struct sequence *s = find(machine.instruction_eip, &start, &step);

	return s && s->action == SEQUENCE_STI;
}
