/* Host time and idling.
 *
 * Each process has a timer of its own (timers are not inherited by fork). It is armed for the earliest
 * device deadline and never disarmed: a process that has handed the vCPU on takes one spurious signal. */
#include "monitor.h"
#include "sys.h"

enum { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_PROCESS_CPUTIME = 2, TIMER_ABSTIME = 1, SIGALRM_NUMBER = 14 };

static int32_t timer;
static uint64_t last_read, read_at; /* the clock as it was read last, and the TSC then */
static uint64_t armed; /* deadline this process's timer is set to; 0: none */

static uint64_t clock_ns(uint32_t clock)
{
	struct timespec64 time;

	syscall3(SYS_clock_gettime, clock, &time, 0);
	return (uint64_t)time.tv_sec * NS + (uint64_t)time.tv_nsec;
}

/* What devices count by. */
uint64_t now_ns(void)
{
	read_at = read_tsc();
	return last_read = clock_ns(CLOCK_MONOTONIC);
}

/* How long this process has run. */
uint64_t run_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME); }

/* Without a system call: is that time surely ahead? Every x86-64 processor's TSC has a tick a nanosecond at least. */
bool surely_ahead(uint64_t time) { return time > last_read && read_tsc() - read_at < time - last_read; }

/* The time of day: ns since 1970, UTC. */
uint64_t wall_ns(void) { return clock_ns(CLOCK_REALTIME); }

void timers_create(void)
{
	struct {
		uint64_t value;
		int32_t number, notify;
		uint8_t rest[48];
	} event = { 0, SIGALRM_NUMBER, 0 /* SIGEV_SIGNAL */, { 0 } };

	if (syscall3(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0)
		fatal(ERROR_TIMER, 0);
	armed = 0;
}

/* Set this process's timer; ~0: the guest waits for nothing. */
void host_timer(uint64_t deadline)
{
	struct {
		struct timespec64 interval, value;
	} setting = { { 0, 0 }, { (int64_t)(deadline / NS), (int64_t)(deadline % NS) } };

	if (deadline == ~0ull || deadline == armed)
		return;
	armed = deadline;
	syscall4(SYS_timer_settime, timer, TIMER_ABSTIME, &setting, 0);
}

/* Wait for a deadline or the VMM's wake. */
void idle(void)
{
	struct {
		int32_t fd;
		int16_t events, revents;
	} poll = { WAKE_FD, 1 /* POLLIN */, 0 };
	struct timespec64 left = { 0, 0 };
	bool limited = machine.deadline != ~0ull;

	if (ide_interrupts_now())
		return;
	doorbell();
	if (limited) {
		uint64_t now = now_ns();

		if (now >= machine.deadline)
			return;
		left.tv_sec = (int64_t)((machine.deadline - now) / NS);
		left.tv_nsec = (int64_t)((machine.deadline - now) % NS);
	}
	uint64_t start = control.trace_mask ? read_tsc() : 0;

	control.halts++;
	control.run_state = 2;
	if (syscall6(SYS_ppoll, (int64_t)&poll, 1, limited ? (int64_t)&left : 0, 0, 8, 0) > 0) {
		uint64_t count;

		syscall3(SYS_read, WAKE_FD, &count, 8);
	}
	control.run_state = 1;
	if (start)
		coverage_slept(start);
	if (tracing(TRACE_IDLE))
		trace_span(TRACE_IDLE, 0, start, (uint32_t[5]){ 0 });
}
