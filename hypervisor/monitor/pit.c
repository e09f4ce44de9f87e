/* The 8254 interval timer (Intel 8254 data sheet) and port 0x61. Its clock is the host's, in ticks since that
 * began; a count that is written is loaded at once, not at the next tick. An output that rises because of a new
 * mode alone is no interrupt. */
#include "monitor.h"

#define PIT_HZ 1193182ull

enum { ACCESS_LATCH = 0, ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3, CONTROL = 0x43, PORT61 = 0x61, REFRESH = 1,
       SPEAKER = 2 };
enum { TERMINAL_COUNT, ONE_SHOT, RATE, SQUARE, SOFT_STROBE, HARD_STROBE };

static uint64_t ticks_now(void) { return ticks_of(now_ns(), PIT_HZ); }

static uint32_t range(const struct pit_channel *c) { return c->bcd ? 10000 : 0x10000; }
static bool periodic(const struct pit_channel *c) { return c->mode == RATE || c->mode == SQUARE; }
static bool triggered(const struct pit_channel *c) { return c->mode == ONE_SHOT || c->mode == HARD_STROBE; }
static uint32_t high_half(const struct pit_channel *c) { return (c->count + 1) / 2; }

void pit_reset(void)
{
	uint64_t now = ticks_now();

	/* As firmware leaves them: channel 0 at 18.2 Hz, channel 1 asking for refreshes. */
	for (uint32_t i = 0; i < 3; i++) {
		struct pit_channel *c = &machine.pit[i];

		*c = (struct pit_channel){ .access = ACCESS_BOTH, .mode = SQUARE, .gate = i != SPEAKER, .start = now,
					   .count = 0x10000, .loaded = 1 };
		ticks_forget(&c->ticks, 0);
	}
	machine.pit[REFRESH].mode = RATE;
	machine.pit[REFRESH].access = ACCESS_LOW;
	machine.pit[REFRESH].count = 18;
	machine.port61 = 0;
}

static uint64_t elapsed(const struct pit_channel *c, uint64_t now)
{
	if (!c->loaded)
		return 0;
	return c->gate || triggered(c) ? now - c->start : c->held;
}

/* Rising edges of the output since `start`. */
static uint64_t edges_by(const struct pit_channel *c, uint64_t ticks)
{
	if (!c->loaded)
		return 0;
	if (periodic(c))
		return ticks / c->count;
	return c->mode == SOFT_STROBE || c->mode == HARD_STROBE ? ticks > c->count : ticks >= c->count;
}

/* A count written during a period is counted from the next on; in mode 3, from the next half. */
static void settle(struct pit_channel *c, uint64_t now)
{
	uint64_t ticks = elapsed(c, now);

	if (!c->next_count || !periodic(c) || ticks < c->next_at)
		return;
	bool low_next = c->mode == SQUARE && c->next_at % c->count == high_half(c);

	c->edges += edges_by(c, c->next_at);
	c->start += c->next_at;
	c->count = c->next_count;
	c->next_count = c->unloaded = 0;
	if (low_next)
		c->start -= high_half(c);
}

static uint32_t count_now(struct pit_channel *c, uint64_t now)
{
	settle(c, now);
	uint64_t ticks = elapsed(c, now);
	uint32_t value;

	if (c->mode == RATE) {
		value = c->count - (uint32_t)(ticks % c->count);
	} else if (c->mode == SQUARE) {
		uint32_t at = (uint32_t)(ticks % c->count);

		value = (c->count & ~1u) - 2 * (at < high_half(c) ? at : at - high_half(c));
	} else {
		value = c->count + range(c) - (uint32_t)(ticks % range(c));
	}
	value %= range(c);
	if (c->bcd)
		value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
	return value;
}

static bool output_now(struct pit_channel *c, uint64_t now)
{
	settle(c, now);
	uint64_t ticks = elapsed(c, now);

	if (!c->loaded)
		return c->mode != TERMINAL_COUNT;
	switch (c->mode) {
	case RATE: return !c->gate || ticks % c->count != c->count - 1;
	case SQUARE: return !c->gate || ticks % c->count < high_half(c);
	case SOFT_STROBE: case HARD_STROBE: return ticks != c->count;
	default: return ticks >= c->count;
	}
}

/* The next interrupt of channel 0, ns; ~0: none. A line that is masked everywhere needs no timer. */
uint64_t pit_deadline(void)
{
	struct pit_channel *c = &machine.pit[0];
	uint64_t next = c->ticks.seen + 1 - c->edges, tick = next * c->count;

	if (!irq_open(0)) {
		c->unwatched = true;
		return ~0ull;
	}
	if (!c->loaded || triggered(c) || (!periodic(c) && next > 1))
		return ticks_deadline(&c->ticks, ~0ull);
	if (c->mode == SOFT_STROBE)
		tick++;
	if (c->next_count && periodic(c) && c->next_at < tick)
		tick = c->next_at;
	return ticks_deadline(&c->ticks, ns_of(c->start + tick, PIT_HZ));
}

/* Raise line 0 if channel 0 has run out, perhaps several times. */
void pit_timer(uint64_t ns)
{
	struct pit_channel *c = &machine.pit[0];
	uint64_t now = ticks_of(ns, PIT_HZ);

	settle(c, now);
	uint64_t count = c->edges + edges_by(c, elapsed(c, now));

	if (c->unwatched) {
		/* An edge that came while the line was masked is latched there; more are not owed. */
		c->unwatched = false;
		if (count != c->ticks.seen)
			ticks_forget(&c->ticks, count - 1);
	}
	if (ticks_due(&c->ticks, count, irq_unserved(0), ns, ns_of(c->count, PIT_HZ)))
		irq_pulse(0);
}

/* What opens a line is about to change: an edge at a masked one comes before that. */
void pit_masked(void)
{
	if (machine.pit[0].unwatched)
		pit_timer(now_ns());
}

/* What channel 0 has done so far counts, before it is made to do something else. */
static void account(uint32_t index)
{
	if (index == 0)
		pit_timer(now_ns());
}

static void stop(struct pit_channel *c)
{
	c->loaded = 0;
	c->edges = c->ticks.seen;
}

static void start(struct pit_channel *c, uint64_t now)
{
	c->edges = c->ticks.seen;
	c->start = now;
	c->held = 0;
	c->loaded = 1;
	c->unloaded = 0;
	c->next_count = 0;
}

static void load(uint32_t index, uint32_t value)
{
	struct pit_channel *c = &machine.pit[index];
	uint64_t now = ticks_now();

	account(index);
	if (c->bcd)
		value = value % 16 + value / 16 % 16 * 10 + value / 256 % 16 * 100 + value / 4096 * 1000;
	value = value && value <= range(c) ? value : range(c);
	if (c->loaded && periodic(c) && c->gate) {
		uint32_t half = high_half(c);

		settle(c, now);
		uint64_t ticks = elapsed(c, now), period = ticks / c->count * c->count;

		c->next_count = value;
		c->unloaded = 1;
		c->next_at = period + (c->mode == SQUARE && ticks - period < half ? half : c->count);
	} else if (triggered(c)) {
		c->next_count = value; /* from the next rising edge of the gate on */
		c->unloaded = 1;
	} else {
		c->count = value;
		start(c, now);
	}
	if (index == 0)
		timers_rearm();
}

static void write_counter(uint32_t index, uint32_t value)
{
	struct pit_channel *c = &machine.pit[index];

	if (c->access == ACCESS_LOW) {
		load(index, value);
	} else if (c->access == ACCESS_HIGH) {
		load(index, value << 8);
	} else if (!c->write_half) {
		c->write_low = (uint8_t)value;
		c->write_half = 1;
		if (c->mode == TERMINAL_COUNT) {
			account(index);
			stop(c); /* and the output is low */
		}
	} else {
		c->write_half = 0;
		load(index, value << 8 | c->write_low);
	}
}

static void latch_count(struct pit_channel *c)
{
	if (!c->latched_reads) {
		c->latched = count_now(c, ticks_now());
		c->latched_reads = c->access == ACCESS_BOTH ? 2 : 1;
	}
}

static void latch_status(struct pit_channel *c)
{
	if (!c->status_latched) {
		uint32_t output = output_now(c, ticks_now());

		c->status = (uint8_t)(output << 7 | c->unloaded << 6 | c->access << 4 | c->mode << 1 | c->bcd);
		c->status_latched = 1;
	}
}

static void read_back(uint32_t value)
{
	for (uint32_t i = 0; i < 3; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & 0x20))
			latch_count(&machine.pit[i]);
		if (!(value & 0x10))
			latch_status(&machine.pit[i]);
	}
}

static void write_control(uint32_t value)
{
	uint32_t index = value >> 6, access = value >> 4 & 3;

	if (index == 3) {
		read_back(value);
		return;
	}
	struct pit_channel *c = &machine.pit[index];

	if (access == ACCESS_LATCH) {
		latch_count(c);
		return;
	}
	account(index);
	stop(c);
	c->access = (uint8_t)access;
	c->mode = value >> 1 & 7;
	if (c->mode > HARD_STROBE)
		c->mode -= 4;
	c->bcd = value & 1;
	c->write_half = c->read_half = c->latched_reads = c->status_latched = 0;
	c->next_count = 0;
	c->unloaded = 1;
	if (c->count > range(c))
		c->count = range(c);
	if (index == 0)
		ticks_forget(&c->ticks, c->ticks.seen);
}

static uint32_t read_counter(struct pit_channel *c)
{
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	uint32_t value = c->latched_reads ? c->latched : count_now(c, ticks_now());
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_half);

	if (c->access == ACCESS_BOTH)
		c->read_half = !c->read_half;
	if (c->latched_reads)
		c->latched_reads--;
	return high ? value >> 8 : value & 0xff;
}

static void set_gate(struct pit_channel *c, bool open, uint64_t now)
{
	if (open == c->gate)
		return;
	settle(c, now);
	if (!open) {
		c->held = elapsed(c, now);
	} else if (triggered(c) || periodic(c)) {
		/* The trigger of modes 1 and 5; modes 2 and 3 begin a period. */
		if (c->next_count)
			c->count = c->next_count;
		if (c->loaded || c->next_count)
			start(c, now);
	} else {
		c->start = now - c->held;
	}
	c->gate = open;
}

uint32_t pit_in(uint32_t port)
{
	if (port == PORT61) {
		uint64_t now = ticks_now();
		/* Bit 4 toggles with the refresh request, every 15 us. */
		uint32_t refresh = (uint32_t)(now / 18) & 1;

		return machine.port61 | refresh << 4 | (uint32_t)output_now(&machine.pit[SPEAKER], now) << 5;
	}
	return port == CONTROL ? 0xff : read_counter(&machine.pit[port & 3]);
}

void pit_out(uint32_t port, uint32_t value)
{
	if (port == PORT61) {
		set_gate(&machine.pit[SPEAKER], value & 1, ticks_now());
		machine.port61 = value & 0xf; /* gate, speaker, and the checks of parity and channel, which find nothing */
	} else if (port == CONTROL) {
		write_control(value);
	} else {
		write_counter(port & 3, value);
	}
}
