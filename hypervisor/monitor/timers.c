/* The deadlines of all devices: the earliest is what the host's timer is set to. */
#include "monitor.h"

static void earliest(uint64_t deadline)
{
	if (deadline < machine.deadline)
		machine.deadline = deadline;
}

/* The devices' deadlines may have changed. */
void timers_rearm(void)
{
	machine.deadline = pit_deadline();
	earliest(lapic_deadline());
	earliest(machine.rtc_deadline);
	earliest(machine.uart_deadline);
	earliest(machine.console_deadline);
	host_timer(machine.deadline);
}

/* Give devices the time; those whose deadline has passed raise their lines. */
void timers_run(void)
{
	if (machine.deadline == ~0ull)
		return;
	uint64_t now = now_ns();

	if (now < machine.deadline)
		return;
	pit_timer(now);
	lapic_timer(now);
	if (now >= machine.rtc_deadline)
		rtc_timer();
	if (now >= machine.uart_deadline)
		uart_timer(now);
	if (now >= machine.console_deadline)
		doorbell();
	timers_rearm();
}
