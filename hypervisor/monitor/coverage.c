/* Coverage: how often each place of the guest asked for something, and what that cost. Counters in shared memory,
 * which the VMM reads when the guest is over; no records. */
#include "monitor.h"

enum { SLOTS = COVERAGE_SIZE / sizeof(struct coverage_counter), PROBES = 64 };
#define counters ((struct coverage_counter *)(state + COVERAGE_OFFSET))

_Static_assert(!(SLOTS & (SLOTS - 1)), "a power of two");

/* The counter of this place: hashed, then the next free one. NULL where there is no room. */
static struct coverage_counter *counter_of(uint32_t eip, uint32_t form, uint32_t number)
{
	uint32_t hash = (eip ^ number << 24 ^ vcpu.cpl << 20) * 2654435761u >> 16; /* Knuth, vol. 3, 6.4 */

	for (uint32_t i = 0; i < PROBES; i++) {
		struct coverage_counter *c = &counters[(hash + i) & (SLOTS - 1)];

		if (!c->count)
			*c = (struct coverage_counter){ .eip = eip, .form = (uint8_t)form, .number = (uint8_t)number,
							.cpl = (uint8_t)vcpu.cpl };
		else if (c->eip != eip || c->form != form || c->number != number || c->cpl != vcpu.cpl)
			continue;
		return c;
	}
	return NULL;
}

/* The instruction at machine.instruction_eip is going to be served. It may end in another process (write_cr3) or never
 * (power-off), so what is known lies in the control block. */
void coverage_begins(uint32_t form, uint32_t number)
{
	struct coverage_counter *c = counter_of(original_eip(machine.instruction_eip), form, number);

	if (!c) {
		control.coverage_lost++;
		return;
	}
	c->count++;
	control.coverage_open = (uint32_t)(c - counters) + 1;
	control.coverage_start = read_tsc();
}

/* A hypercall. */
void coverage_call_begins(uint32_t number)
{
	if (number == HC_COVERED)
		coverage_begins(COVERAGE_INLINE, sequence_covered_action());
	else
		coverage_begins(COVERAGE_GATE, number);
}

static struct coverage_counter *open(void)
{
	return control.coverage_open ? &counters[(control.coverage_open - 1) & (SLOTS - 1)] : NULL;
}

/* Also called by the process that takes over the vCPU, whatever the reason. */
void coverage_ends(void)
{
	struct coverage_counter *c = open();

	if (c)
		c->cycles += read_tsc() - control.coverage_start;
	control.coverage_open = 0;
}

void coverage_exit(void)
{
	struct coverage_counter *c = open();

	if (c)
		c->exits++;
}

/* The guest has slept since `start`, which is no cost. */
void coverage_slept(uint64_t start) { control.coverage_start += read_tsc() - start; }
