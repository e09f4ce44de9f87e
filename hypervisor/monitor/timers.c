/* The deadlines of all devices: the earliest is what the host's timer is set to. */
#include "monitor.h"

/* A guest whose timers run out faster than they can be served still gets on: its code runs this long between
 * two of the host's signals. */
#define BETWEEN_SIGNALS_NS 50000u

static void earliest(uint64_t deadline)
{
	if (deadline < machine.deadline)
		machine.deadline = deadline;
}

static void find_deadline(void)
{
	machine.deadline = pit_deadline();
	earliest(lapic_deadline());
	earliest(machine.rtc_deadline);
	earliest(machine.uart_deadline);
	earliest(machine.serial_deadline);
	earliest(machine.ide_deadline);
	earliest(pm_deadline());
}

/* The devices' deadlines may have changed. */
void timers_rearm(void)
{
	find_deadline();
	host_timer(machine.deadline);
}

/* Give devices the time; those whose deadline has passed raise their lines. */
void timers_run(void)
{
	if (machine.deadline == ~0ull || surely_ahead(machine.deadline))
		return;
	uint64_t now = now_ns();

	if (now < machine.deadline)
		return;
	pit_timer(now);
	lapic_timer(now);
	pm_timer(now);
	ide_timer(now);
	if (now >= machine.rtc_deadline)
		rtc_timer();
	if (now >= machine.uart_deadline)
		uart_timer(now);
	if (now >= machine.serial_deadline)
		doorbell();
	find_deadline();
	if (machine.deadline < now + BETWEEN_SIGNALS_NS)
		host_timer(now + BETWEEN_SIGNALS_NS);
	else
		host_timer(machine.deadline);
}
