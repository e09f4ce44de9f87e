/* The 8254 interval timer (Intel 8254 data sheet) and port 0x61. Counts follow host time. */
#include "monitor.h"

#define PIT_HZ 1193182ull
#define NS 1000000000ull

enum { ACCESS_LATCH = 0, ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3, CONTROL = 0x43, PORT61 = 0x61 };

/* In two parts, so that the products stay within 64 bits. */
static uint64_t ticks_of(uint64_t ns) { return ns / NS * PIT_HZ + ns % NS * PIT_HZ / NS; }
static uint64_t ns_of(uint64_t ticks) { return ticks / PIT_HZ * NS + ticks % PIT_HZ * NS / PIT_HZ; }
static uint32_t full(const struct pit_channel *c) { return c->reload ? c->reload : 0x10000; }

void pit_reset(void)
{
	uint64_t now = now_ns();

	for (uint32_t i = 0; i < 3; i++)
		machine.pit[i] = (struct pit_channel){ .access = ACCESS_BOTH, .mode = 3, .gate = i != 2, .start = now };
	/* Firmware leaves channel 0 at 18.2 Hz; it asks for nothing before the guest unmasks line 0. */
	machine.pit[0].armed = 1;
}

static uint64_t elapsed_ticks(const struct pit_channel *c)
{
	return c->gate || c->mode == 1 || c->mode == 5 ? ticks_of(now_ns() - c->start) : 0;
}

static uint32_t count_now(const struct pit_channel *c)
{
	uint64_t ticks = elapsed_ticks(c);

	switch (c->mode) {
	case 2: return full(c) - (uint32_t)(ticks % full(c));
	case 3: return full(c) - (uint32_t)(ticks * 2 % full(c));
	default: return (full(c) - (uint32_t)ticks) & 0xffff;
	}
}

static bool output_now(const struct pit_channel *c)
{
	uint64_t ticks = elapsed_ticks(c);

	switch (c->mode) {
	case 2: return ticks % full(c) != full(c) - 1;
	case 3: return ticks % full(c) < (full(c) + 1) / 2;
	case 4: case 5: return ticks != full(c);
	default: return ticks >= full(c);
	}
}

static bool periodic(const struct pit_channel *c) { return c->mode == 2 || c->mode == 3; }

/* Next interrupt of channel 0, in ns of CLOCK_MONOTONIC; ~0: none. A line that is masked everywhere
 * needs no timer. */
uint64_t pit_deadline(void)
{
	const struct pit_channel *c = &machine.pit[0];
	bool pic_open = !(machine.pic[0].imr & 1), ioapic_open = !(machine.ioapic_redirection[2] & 0x10000);
	uint64_t deadline = ~0ull;

	if (c->armed && (pic_open || ioapic_open))
		deadline = c->start + ns_of(full(c));
	return deadline;
}

/* Channel 0 has run out, perhaps several times: one interrupt, and the phase is kept. */
void pit_timer(uint64_t now)
{
	struct pit_channel *c = &machine.pit[0];

	if (now < pit_deadline())
		return;
	if (periodic(c)) {
		uint64_t periods = ticks_of(now - c->start) / full(c);

		c->start += ns_of((periods ? periods : 1) * full(c));
	} else {
		c->armed = 0;
	}
	irq_pulse(0);
}

static void load(uint32_t index, uint32_t value)
{
	struct pit_channel *c = &machine.pit[index];

	if (c->bcd)
		value = value % 16 + value / 16 % 16 * 10 + value / 256 % 16 * 100 + value / 4096 * 1000;
	c->reload = value & 0xffff;
	c->start = now_ns();
	if (index == 0) {
		c->armed = 1;
		timers_rearm();
	}
}

static void write_counter(uint32_t index, uint32_t value)
{
	struct pit_channel *c = &machine.pit[index];

	if (c->access == ACCESS_LOW) {
		load(index, value);
	} else if (c->access == ACCESS_HIGH) {
		load(index, value << 8);
	} else if (!c->write_half) {
		c->write_low = value;
		c->write_half = 1;
	} else {
		c->write_half = 0;
		load(index, value << 8 | c->write_low);
	}
}

static void latch_count(struct pit_channel *c)
{
	if (!c->latch_valid) {
		c->latched = count_now(c);
		c->latch_valid = c->access == ACCESS_BOTH ? 2 : 1;
	}
}

static void latch_status(struct pit_channel *c)
{
	if (!c->status_valid) {
		c->status = (uint32_t)output_now(c) << 7 | c->access << 4 | c->mode << 1 | c->bcd;
		c->status_valid = 1;
	}
}

static void write_control(uint32_t value)
{
	uint32_t index = value >> 6, access = value >> 4 & 3;

	if (index == 3) { /* read-back */
		for (uint32_t i = 0; i < 3; i++) {
			if (!(value >> (i + 1) & 1))
				continue;
			if (!(value & 0x20))
				latch_count(&machine.pit[i]);
			if (!(value & 0x10))
				latch_status(&machine.pit[i]);
		}
		return;
	}
	struct pit_channel *c = &machine.pit[index];

	if (access == ACCESS_LATCH) {
		latch_count(c);
		return;
	}
	c->access = access;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;
	c->bcd = value & 1;
	c->write_half = c->read_half = c->latch_valid = 0;
	if (index == 0)
		c->armed = 0;
}

static uint32_t read_counter(struct pit_channel *c)
{
	if (c->status_valid) {
		c->status_valid = 0;
		return c->status;
	}
	uint32_t value = c->latch_valid ? c->latched : count_now(c);
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_half);

	if (c->access == ACCESS_BOTH)
		c->read_half = !c->read_half;
	if (c->latch_valid)
		c->latch_valid--;
	return high ? value >> 8 & 0xff : value & 0xff;
}

uint32_t pit_in(uint32_t port)
{
	if (port == PORT61) {
		/* Bit 4 toggles with the refresh request, every 15 us. */
		uint32_t refresh = now_ns() / 15085 & 1;

		return (machine.port61 & 3) | refresh << 4 | (uint32_t)output_now(&machine.pit[2]) << 5;
	}
	return port == CONTROL ? 0xff : read_counter(&machine.pit[port & 3]);
}

void pit_out(uint32_t port, uint32_t value)
{
	if (port == PORT61) {
		struct pit_channel *c = &machine.pit[2];

		if ((value & 1) && !c->gate)
			c->start = now_ns();
		c->gate = value & 1;
		machine.port61 = value & 3;
	} else if (port == CONTROL) {
		write_control(value);
	} else {
		write_counter(port & 3, value);
	}
}
