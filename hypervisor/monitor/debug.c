/* Debug registers: breakpoints on instructions, data and ports (SDM vol. 3, 17.2).
 *
 * A process cannot have the processor's debug registers without ptrace. So the page that a breakpoint lies on is
 * mapped without the rights that would let it pass: what faults there runs as a single step with the page open,
 * and the exception is raised in front of an instruction that is a breakpoint, or behind one that touched data.
 * Which data it touches is found by decoding it. What the monitor does to memory by itself is not seen:
 * stack frames of interrupts, descriptors, operands of hypercalls, page tables. */
#include "monitor.h"
#include "sys.h"

enum { ON_FETCH = 0, ON_WRITE = 1, ON_PORT = 2, ON_ACCESS = 3 };
#define DR7_GD 0x2000u
#define DR6_BD 0x2000u
#define BREAKPOINTS 4u

struct breakpoint {
	uint32_t type, first, size;
};

/* Breakpoint `i`; false where it is not enabled. */
static bool breakpoint(uint32_t i, struct breakpoint *out)
{
	static const uint8_t sizes[4] = { 1, 2, 8, 4 };
	uint32_t control_bits = vcpu.dr[7] >> (16 + 4 * i);

	out->type = control_bits & 3;
	out->size = sizes[control_bits >> 2 & 3];
	out->first = vcpu.dr[i] & ~(out->size - 1);
	return vcpu.dr[7] >> (2 * i) & 3 && (out->type != ON_PORT || shared.cr4 & CR4_DE);
}

static bool overlaps(const struct breakpoint *b, uint32_t first, uint32_t size)
{
	return first - b->first < b->size || b->first - first < size;
}

/* A debug register, or CR4, has been written. */
void debug_follow(void)
{
	bool was = machine.watching;
	struct breakpoint b;

	machine.watching = machine.watching_ports = machine.watching_code = false;
	for (uint32_t i = 0; i < BREAKPOINTS; i++)
		if (breakpoint(i, &b)) {
			machine.watching |= b.type != ON_PORT;
			machine.watching_ports |= b.type == ON_PORT;
			machine.watching_code |= b.type == ON_FETCH;
		}
	machine.watching |= machine.debugger_points;
	machine.watching_ports |= debugger.port_count != 0;
	machine.resumed = false;
	if (was || machine.watching)
		pool_flush_all();
}

/* The rights (PROT_...) that `page` must be mapped without. */
int debug_withheld(uint32_t page)
{
	static const int withheld[4] = { PROT_EXEC, PROT_WRITE, 0, PROT_READ | PROT_WRITE | PROT_EXEC };
	struct breakpoint b;
	int rights = 0;

	if (!machine.watching || machine.opened)
		return 0;
	for (uint32_t i = 0; i < BREAKPOINTS; i++)
		if (breakpoint(i, &b) && b.first >> 12 == page)
			rights |= withheld[b.type];
	return machine.debugger_points ? rights | debugger_withheld(page) : rights;
}

static uint32_t hits_at_instruction(void)
{
	struct breakpoint b;
	uint32_t hits = 0;

	for (uint32_t i = 0; i < BREAKPOINTS; i++)
		if (breakpoint(i, &b) && b.type == ON_FETCH && b.first == vcpu.cs.base + vcpu.eip)
			hits |= 1u << i;
	return hits;
}

static uint32_t hits_of_access(const struct access_list *list)
{
	struct breakpoint b;
	uint32_t hits = 0;

	for (uint32_t i = 0; i < BREAKPOINTS; i++)
		for (uint32_t k = 0; breakpoint(i, &b) && k < list->count; k++) {
			const struct memory_access *access = &list->item[k];

			if ((b.type == ON_ACCESS || (b.type == ON_WRITE && access->write)) &&
			    overlaps(&b, access->linear, access->size))
				hits |= 1u << i;
		}
	return hits;
}

static void deliver(uint32_t status)
{
	vcpu.dr[6] = (vcpu.dr[6] & ~0xfu) | status;
	vcpu.dr[7] &= ~DR7_GD;
	raise_plain(VECTOR_DB);
	fault_deliver();
}

/* An instruction is over at vcpu.eip: the trap for what it touched, and (`step`) the guest's single step. */
void debug_deliver_trap(bool step)
{
	uint32_t hits = machine.debug_hits;

	machine.debug_hits = 0;
	machine.instruction_eip = vcpu.eip;
	deliver(hits | (step ? DR6_BS : 0));
}

/* Guest code reached for `linear` on a page that is mapped with less than its rights: let the one instruction
 * pass, unless it is itself a breakpoint. */
void debug_pass(uint32_t linear, uint32_t access)
{
	bool resumed = machine.resumed && machine.resumed_eip == vcpu.eip;
	uint32_t hits = resumed ? 0 : hits_at_instruction();
	struct fault keep = machine.fault;
	struct access_list list;
	struct instruction in;

	if (machine.debugger_points && access & ACCESS_FETCH && debugger_at_instruction())
		return;
	if (hits && access & ACCESS_FETCH) {
		machine.instruction_eip = vcpu.eip;
		deliver(hits);
		return;
	}
	if (decode(vcpu.eip, &in)) {
		accesses_of(&in, &list);
		machine.debug_hits |= hits_of_access(&list);
		if (machine.debugger_points)
			debugger_touches(&list);
	}
	machine.fault = keep;
	machine.opened = true;
	if (vtlb_fill(linear, access) == FILL_MAPPED)
		step_one();
}

/* A page that was mapped with all its rights while the watched ones are open for one instruction. */
void debug_opened(uint32_t page)
{
	machine.opened_page[machine.opened_count++ % OPENED_MAX] = page;
}

/* That instruction is over. */
void debug_close(void)
{
	uint32_t count = machine.opened_count < OPENED_MAX ? machine.opened_count : OPENED_MAX;

	machine.opened = machine.resumed = false;
	machine.opened_count = 0;
	for (uint32_t i = 0; i < count; i++)
		vtlb_drop(machine.opened_page[i] << 12);
}

/* A port was accessed by the instruction that is now being done. */
void debug_port(uint32_t port, uint32_t size)
{
	struct breakpoint b;

	debugger_port(port, size);
	for (uint32_t i = 0; i < BREAKPOINTS; i++)
		if (breakpoint(i, &b) && b.type == ON_PORT && overlaps(&b, port, size))
			machine.debug_hits |= 1u << i;
	if (!machine.debug_hits)
		return;
	if (!machine.traced)
		machine.traced_step = false;
	machine.traced = machine.traced_trap = true;
	machine.entered = machine.stack_loaded = false;
	machine.events = 1;
}

/* IRET has loaded RF: no instruction breakpoint where it goes on. */
void debug_resume_flag(void)
{
	machine.resumed = true;
	machine.resumed_eip = vcpu.eip;
}

/* mov to and from a debug register. */
bool debug_register(bool write, uint32_t number, const struct operand *operand)
{
	if ((number == 4 || number == 5) && shared.cr4 & CR4_DE)
		return raise_plain(VECTOR_UD);
	if (!is_privileged())
		return false;
	if (vcpu.dr[7] & DR7_GD) {
		vcpu.dr[6] |= DR6_BD;
		vcpu.dr[7] &= ~DR7_GD;
		return raise_plain(VECTOR_DB);
	}
	if (number == 4 || number == 5)
		number += 2;
	/* DR6 and DR7 have bits that always read as ones, and as zeros. */
	uint32_t ones = number == 6 ? 0xffff0ff0 : number == 7 ? 0x400 : 0;
	uint32_t kept = number == 6 ? 0xe00f : number == 7 ? 0xffff2bff : ~0u;

	if (!write)
		return operand_write(operand, 4, (vcpu.dr[number] & kept) | ones);
	if (!operand_read(operand, 4, &vcpu.dr[number]))
		return false;
	if (number != 6)
		debug_follow();
	return true;
}
