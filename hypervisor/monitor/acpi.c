/* ACPI's fixed hardware (ACPI 6.5, 4.8.3): the power management timer, and its event, which is the only
 * one that occurs: others can be enabled, but there is no sleep for a clock to wake from. PM1 control, by which it is
 * switched off, is the VMM's (devices/power.py). */
#include "monitor.h"

#define PM_TIMER_HZ 3579545ull

/* Ports; the event's status bit follows the timer, so only when it was cleared is kept. */
enum { PM1_STATUS = 0x600, PM1_ENABLE = 0x602, PM_TIMER = 0x608 };
enum { TIMER_EVENT = 1 << 0, GLOBAL_EVENT = 1 << 5, RTC_EVENT = 1 << 10, TIMER_BITS = 24 };

/* The event occurs when the highest bit changes. */
static uint64_t half_periods(uint64_t now) { return ticks_of(now, PM_TIMER_HZ) >> (TIMER_BITS - 1); }

static uint32_t status(uint64_t now) { return half_periods(now) != machine.pm_cleared ? TIMER_EVENT : 0; }

static void update(uint64_t now)
{
	machine.pm_raised = status(now) & machine.pm_enable;
	irq_set_line(SCI_IRQ, machine.pm_raised);
	timers_rearm();
}

void pm_reset(void) { machine.pm_cleared = half_periods(now_ns()); }

/* Next time at which the interrupt must be raised, in ns of CLOCK_MONOTONIC; ~0: none. One that is
 * raised already stays so until it is cleared. */
uint64_t pm_deadline(void)
{
	if (!(machine.pm_enable & TIMER_EVENT) || machine.pm_raised)
		return ~0ull;
	return ns_of((machine.pm_cleared + 1) << (TIMER_BITS - 1), PM_TIMER_HZ);
}

void pm_timer(uint64_t now)
{
	if (now >= pm_deadline())
		update(now);
}

static uint32_t dword_at(uint32_t port)
{
	uint64_t now = now_ns();

	if (port >= PM_TIMER)
		return (uint32_t)ticks_of(now, PM_TIMER_HZ) & ((1u << TIMER_BITS) - 1);
	return status(now) | machine.pm_enable << 16;
}

uint32_t pm_in(uint32_t port, uint32_t size)
{
	return dword_at(port & ~3u) >> (port & 3) * 8 & mask_of(size);
}

void pm_out(uint32_t port, uint32_t size, uint32_t value)
{
	uint64_t now = now_ns();

	if (port >= PM_TIMER)
		return;
	/* Both registers as one, as far as the access reaches them. */
	uint64_t written = (uint64_t)value << (port - PM1_STATUS) * 8;
	uint64_t reached = (uint64_t)mask_of(size) << (port - PM1_STATUS) * 8;

	if (written & TIMER_EVENT)
		machine.pm_cleared = half_periods(now);
	uint32_t enable = (machine.pm_enable & ~(uint32_t)(reached >> 16)) | (uint32_t)(written >> 16);

	machine.pm_enable = enable & (TIMER_EVENT | GLOBAL_EVENT | RTC_EVENT);
	update(now);
}
