/* The code pages that guest code can reach: landing stubs, gate table and slots.
 *
 * They are written once by the first process, before the sandbox closes, and mapped read-only and
 * executable below 4 GiB afterwards: a far jump in 32-bit code holds a 32-bit offset. */
#include "monitor.h"

extern uint8_t gate_entry[];

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
	return at + 4;
}

/* One stub: mov %esp,vcpu.esp ; movabs $stack,%rsp ; push $number ; jmp gate_entry.
 * `at` is where the bytes are written, `address` where they will run. */
static void write_stub(uint8_t *at, uint64_t address, uint32_t number)
{
	uint64_t stack = (uint64_t)monitor_stack_top;
	uint8_t *start = at;

	*at++ = 0x89;
	*at++ = 0x25;
	at = put32(at, (uint32_t)((uint64_t)&vcpu.esp - (address + 6)));
	*at++ = 0x48;
	*at++ = 0xbc;
	memcpy(at, &stack, 8);
	at += 8;
	*at++ = 0x68;
	at = put32(at, number);
	*at++ = 0xe9;
	at = put32(at, (uint32_t)((uint64_t)gate_entry - (address + (uint64_t)(at - start) + 4)));
}

/* Fill the gate page of the state file (seen by the guest in the hole) and the landing stubs. */
void landing_write(uint8_t *file)
{
	for (uint32_t n = 0; n < LANDING_COUNT; n++) {
		uint32_t landing = LANDING + n * LANDING_STUB_SIZE;
		uint8_t *slot = file + SLOTS_OFFSET + n * SLOT_SIZE;

		write_stub(file + LANDING_OFFSET + n * LANDING_STUB_SIZE, landing, n);
		put32(file + GATES_OFFSET + 4 * n, HOLE + SLOTS_OFFSET + n * SLOT_SIZE);
		slot[0] = 0xea; /* ljmp $0x33,$landing */
		put32(slot + 1, landing);
		slot[5] = HOST_CS64;
		slot[6] = 0;
	}
	selector_map_write(file);
}

/* The tables by which inline pushf and popf translate byte 1 of EFLAGS (IF is bit 1, IOPL bits 4-5). */
void flag_tables_write(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t plain = (byte & ~0x32u) | vcpu.iopl << 4;

		state[FLAGS_OUT_OFFSET + byte] = (uint8_t)(plain | 2);
		state[FLAGS_OUT_OFFSET + 256 + byte] = (uint8_t)plain;
		uint32_t change = (byte >> 4 & 3) != vcpu.iopl ? 0x80 | (byte >> 4 & 3) << 1 : 0;

		state[FLAGS_IN_OFFSET + byte] = (uint8_t)(change | !(byte & 2));
	}
}
