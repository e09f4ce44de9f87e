/* A debugger of the guest, which the VMM speaks for (hypervisor/gdb/).
 *
 * The guest stands still between two of its instructions: the vCPU is in the state file, and the VMM is asked
 * (EXIT_DEBUG) whether it goes on or does one instruction. Break points and watch points withhold a page's rights,
 * as those of the guest's own debug registers do (debug.c), which know nothing of them; the guest's memory is not
 * changed. Nothing is looked at here unless an event is noted, a page is watched or a mask in the control block is
 * set: no debugger, no cost. */
#include "monitor.h"
#include "sys.h"

#define POINTS (sizeof(debugger.points) / sizeof(debugger.points[0]))
#define PORTS (sizeof(debugger.ports) / sizeof(debugger.ports[0]))

static uint32_t count(void) { return debugger.point_count < POINTS ? debugger.point_count : POINTS; }

static bool overlaps(const struct debug_point *p, uint32_t first, uint32_t size)
{
	return first - p->linear < p->size || p->linear - first < size;
}

/* The rights (PROT_...) that `page` must be mapped without. */
int debugger_withheld(uint32_t page)
{
	int rights = 0;

	for (uint32_t i = 0; i < count(); i++) {
		const struct debug_point *p = &debugger.points[i];

		if (p->type == POINT_SOFTWARE || !overlaps(p, page << 12, PAGE_SIZE))
			continue;
		rights |= p->type == POINT_EXECUTE ? PROT_EXEC : p->type == POINT_WRITE ? PROT_WRITE :
			  PROT_READ | PROT_WRITE | PROT_EXEC;
	}
	return rights;
}

/* The guest is to stand still before its next instruction. The first reason counts. */
void debugger_due(uint32_t why, uint32_t what)
{
	if (!machine.debugger_due) {
		machine.debugger_due = true;
		machine.debugger_why = why;
		machine.debugger_what = what;
	}
	machine.events = 1;
}

/* The instruction at vcpu.eip was to be fetched: true where it is a break point. */
bool debugger_at_instruction(void)
{
	for (uint32_t i = 0; i < count(); i++)
		if (debugger.points[i].type == POINT_EXECUTE && debugger.points[i].linear == vcpu.cs.base + vcpu.eip) {
			machine.debugger_due = false;
			debugger_due(STOPPED_BREAKPOINT, debugger.points[i].linear);
			return true;
		}
	return false;
}

/* An INT3 has run: true where it is a break point, which it has stopped in front of. */
bool debugger_at_int3(void)
{
	uint32_t linear = vcpu.cs.base + vcpu.eip - 1;

	for (uint32_t i = 0; i < count(); i++)
		if (debugger.points[i].type == POINT_SOFTWARE && debugger.points[i].linear == linear) {
			vcpu.eip--;
			machine.debugger_due = false;
			debugger_due(STOPPED_BREAKPOINT, linear);
			return true;
		}
	return false;
}

/* An instruction that touches `list` is about to run. */
void debugger_touches(const struct access_list *list)
{
	for (uint32_t i = 0; i < count(); i++)
		for (uint32_t k = 0; k < list->count; k++) {
			const struct debug_point *p = &debugger.points[i];
			const struct memory_access *a = &list->item[k];

			if (p->type <= POINT_EXECUTE || (p->type != POINT_ACCESS && a->write != (p->type == POINT_WRITE)) ||
			    !overlaps(p, a->linear, a->size))
				continue;
			machine.debugger_touched = true;
			machine.debugger_what = p->linear;
			machine.debugger_type = p->type;
			return;
		}
}

/* Points, ports or the guest's own breakpoints have changed. */
void debugger_follow(void)
{
	machine.debugger_points = false;
	for (uint32_t i = 0; i < count(); i++)
		machine.debugger_points |= debugger.points[i].type != POINT_SOFTWARE;
	debug_follow();
}

static void show(void)
{
	static const enum segment_register data[4] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };

	for (uint32_t i = 0; i < 4; i++)
		segment_of(data[i], &debugger.data[i]);
	debugger.eflags = flags_for_guest();
	debugger.eflags_written = 0;
	__asm__ volatile("fxsave64 (%0)" : : "r"(debugger.fpu) : "memory");
	if (machine.fpu_withheld) /* the first 160 bytes are x87's, but for MXCSR */
		for (uint32_t i = 0; i < 160; i++)
			if (i < 24 || i >= 32)
				debugger.fpu[i] = machine.x87_aside[i];
}

/* Ask the debugger what is next, at vcpu.eip. */
static void ask(uint32_t why, uint32_t what)
{
	show();
	control.exit.code = why;
	exit_prepare(machine.debugger_type, what, 0, 0, 0);
	uint32_t answer = exit_to_vmm(EXIT_DEBUG);

	if (debugger.eflags_written)
		flags_load(debugger.eflags);
	machine.debugger_step = answer == DEBUG_STEP;
	if (debugger.changed) {
		debugger.changed = 0;
		debugger_follow();
		pool_flush_all();
	}
	debugger.request = 0;
}

/* Guest code is to go on, and something was noted. */
void debugger_stop(void)
{
	uint32_t why = machine.debugger_due ? machine.debugger_why : STOPPED_REQUEST;

	if (!machine.debugger_due && !debugger.request)
		return;
	machine.debugger_due = false;
	if (machine.stepping) { /* it will be done again */
		machine.stepping = false;
		if (!machine.stepping_too)
			vcpu.eflags &= ~FLAG_TF;
		if (machine.stepping_unaligned)
			vcpu.eflags |= FLAG_AC;
	}
	ask(why, why == STOPPED_REQUEST ? 0 : machine.debugger_what);
	if (machine.debugger_step)
		step_one();
}

static bool wanted(uint32_t why, uint32_t number)
{
	const uint32_t bit = 1u << (number & 31), word = number >> 5 & 7;

	if (why == STOPPED_HYPERCALL)
		return debugger.calls[word] & bit;
	if (why == STOPPED_INTERRUPT)
		return debugger.interrupts[word] & bit;
	return number < 32 && debugger.exceptions & bit;
}

/* A hypercall, exception or interrupt is about to be done for the instruction at machine.instruction_eip. False: the
 * debugger has sent the guest elsewhere. */
bool debugger_at_event(uint32_t why, uint32_t number)
{
	uint32_t eip = vcpu.eip, at = machine.instruction_eip;

	if (!wanted(why, number))
		return true;
	vcpu.eip = at;
	ask(why, number);
	if (vcpu.eip != at)
		return false;
	vcpu.eip = eip;
	if (machine.debugger_step) {
		machine.debugger_step = false;
		debugger_due(STOPPED_STEP, 0);
	}
	return true;
}

/* An access to a port is being done. */
void debugger_port(uint32_t port, uint32_t size)
{
	for (uint32_t i = 0; i < PORTS && i < debugger.port_count; i++)
		if (debugger.ports[i] - port < size)
			debugger_due(STOPPED_PORT, debugger.ports[i]);
}
