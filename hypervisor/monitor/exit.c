/* Exits: the monitor asks the VMM and waits for the answer over a pair of eventfds. */
#include "monitor.h"
#include "sys.h"

static void ring(void)
{
	uint64_t one = 1;

	syscall3(SYS_write, EXIT_FD, &one, 8);
}

static bool output_waits(void)
{
	for (uint32_t i = 0; i < SERIAL_COUNT; i++)
		if (control.serial[i].out_head != control.serial[i].out_tail)
			return true;
	return false;
}

/* Serial output waits for the VMM; tell it once. */
void doorbell(void)
{
	machine.serial_deadline = ~0ull;
	if (control.doorbell || !output_waits())
		return;
	control.doorbell = 1;
	ring();
}

/* The trace ring fills. */
void trace_doorbell(void)
{
	ring();
}

void exit_prepare(uint32_t port, uint64_t address, uint32_t size, uint32_t count, uint32_t value)
{
	control.exit.port = port;
	control.exit.address = address;
	control.exit.size = size;
	control.exit.count = count;
	control.exit.value = value;
}

static uint32_t wait_for_answer(void)
{
	uint64_t count;

	while (syscall3(SYS_read, RESUME_FD, &count, 8) != 8)
		;
	return control.exit.value;
}

/* Ask what exit_prepare set up; returns the answer (`value`). */
uint32_t exit_to_vmm(uint32_t reason)
{
	bool traced = tracing(TRACE_EXIT);
	uint32_t value;

	control.exits[reason & 31]++;
	coverage_exit();
	control.exit.reason = reason;
	control.exit.eip = original_eip(machine.instruction_eip);
	control.exit.cr3 = shared.cr3;
	control.run_state = 3;
	if (traced)
		trace_exit_begins();
	__atomic_store_n(&control.exit_pending, 1, __ATOMIC_RELEASE);
	ring();
	value = wait_for_answer();
	control.run_state = 1;
	/* The answer may have come with interrupt requests. */
	machine.events = 1;
	if (traced)
		trace_exit_ends(value);
	return value;
}

/* The guest is over: say why; the VMM reads the report out of the state file, then ends us. */
_Noreturn void guest_ends(uint32_t reason, uint32_t code)
{
	control.exit.code = code;
	exit_to_vmm(reason);
	control.run_state = 4;
	syscall3(SYS_exit_group, 0, 0, 0);
	__builtin_unreachable();
}
