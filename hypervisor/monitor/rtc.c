/* The MC146818A real-time clock and its CMOS memory (Motorola data sheet), ports 0x70 and 0x71. The clock is
 * the host's UTC plus what the guest set. The VMM fills in the memory; the bytes of the clock are made when
 * they are looked at. */
#include "monitor.h"

enum { INDEX = 0x70, LINE = 8 };
enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C,
       REG_D, CENTURY = 0x32 };
enum { A_UPDATING = 0x80, A_RESET = 0x60, B_SET = 0x80, B_PERIODIC = 0x40, B_ALARM = 0x20, B_UPDATED = 0x10, B_BINARY = 4,
       B_24_HOURS = 2, C_REQUEST = 0x80, D_BATTERY = 0x80, PM = 0x80, ANY = 0xc0 };

#define EPOCH 719528ull /* days from the year 0 to 1970 */
#define DAY_SECONDS 86400u
#define UPDATE_NS 2228000u /* an update takes 1984 us and is announced 244 us before, at the end of each second */
#define HALF_SECOND (NS / 2)

#define rtc machine.rtc
#define cmos control.cmos

/* --- Time ------------------------------------------------------------------------------------------------------ */

static uint64_t clock_ns(void) { return wall_ns() + rtc.fraction; }

/* Seconds since the year 0, as the guest counts them. */
static uint64_t seconds_at(uint64_t clock) { return clock / NS + EPOCH * DAY_SECONDS + (uint64_t)rtc.offset; }

static uint8_t byte_of(uint32_t value)
{
	return (uint8_t)(cmos[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static uint32_t number_of(uint8_t value)
{
	return cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t byte_of_hours(uint32_t hours)
{
	if (cmos[REG_B] & B_24_HOURS)
		return byte_of(hours);
	return byte_of(hours % 12 ? hours % 12 : 12) | (hours >= 12 ? PM : 0);
}

static uint32_t hours_of(uint8_t value)
{
	if (cmos[REG_B] & B_24_HOURS)
		return number_of(value);
	return number_of(value & (uint8_t)~PM) % 12 + (value & PM ? 12 : 0);
}

/* Write the time into the clock's bytes. */
static void show_clock(void)
{
	uint64_t seconds = seconds_at(clock_ns());
	uint32_t day = (uint32_t)(seconds / DAY_SECONDS), rest = (uint32_t)(seconds % DAY_SECONDS);
	struct date date;

	date_of(day, &date);
	cmos[SECONDS] = byte_of(rest % 60);
	cmos[MINUTES] = byte_of(rest / 60 % 60);
	cmos[HOURS] = byte_of_hours(rest / 3600);
	cmos[WEEKDAY] = byte_of((day + 6) % 7 + 1); /* Sunday is 1; the year 0 began on a Saturday */
	cmos[DAY] = byte_of(date.day);
	cmos[MONTH] = byte_of(date.month);
	cmos[YEAR] = byte_of(date.year % 100);
	cmos[CENTURY] = byte_of(date.year / 100);
}

/* Let the clock go on from its bytes; a time that does not exist changes nothing. */
static void adopt_clock(void)
{
	struct date date = { number_of(cmos[CENTURY]) * 100 + number_of(cmos[YEAR]), number_of(cmos[MONTH]), number_of(cmos[DAY]) };
	uint32_t hours = hours_of(cmos[HOURS]), minutes = number_of(cmos[MINUTES]), seconds = number_of(cmos[SECONDS]), day;

	if (!day_of(&date, &day) || date.year > 9999 || hours > 23 || minutes > 59 || seconds > 59)
		return;
	uint64_t wanted = (uint64_t)day * DAY_SECONDS + hours * 3600 + minutes * 60 + seconds, clock = clock_ns();

	rtc.offset += (int64_t)(wanted - seconds_at(clock));
	rtc.seen = wanted;
}

/* --- Interrupts ---------------------------------------------------------------------------------------------- */

/* Periodic interrupts in a second; 0: none. They come at whole multiples of their period. */
static uint32_t rate(void)
{
	uint32_t select = cmos[REG_A] & 15;

	if (!select || (cmos[REG_A] & A_RESET) == A_RESET)
		return 0;
	return 65536u >> (select < 3 ? select + 7 : select);
}

static bool matches(uint8_t alarm, uint32_t decoded, uint32_t value) { return alarm >= ANY || decoded == value; }

static bool is_alarm(uint32_t second)
{
	return matches(cmos[SECONDS_ALARM], number_of(cmos[SECONDS_ALARM]), second % 60) &&
	       matches(cmos[MINUTES_ALARM], number_of(cmos[MINUTES_ALARM]), second / 60 % 60) &&
	       matches(cmos[HOURS_ALARM], hours_of(cmos[HOURS_ALARM]), second / 3600);
}

static void look_at_seconds(void)
{
	uint64_t now = seconds_at(clock_ns());

	if (rtc.stopped || now == rtc.seen)
		return;
	if (now < rtc.seen) { /* the host's time was set back */
		rtc.seen = now;
		return;
	}
	rtc.flags |= B_UPDATED;
	if (now - rtc.seen > DAY_SECONDS)
		rtc.seen = now - DAY_SECONDS; /* a day has all alarms */
	while (!(rtc.flags & B_ALARM) && rtc.seen < now)
		if (is_alarm((uint32_t)(++rtc.seen % DAY_SECONDS)))
			rtc.flags |= B_ALARM;
	rtc.seen = now;
}

static void look_at_periods(uint64_t now)
{
	if (!rate())
		return;
	uint64_t count = ticks_of(now, rate());

	if (!(cmos[REG_B] & B_PERIODIC)) {
		if (count != rtc.ticks.seen)
			rtc.flags |= B_PERIODIC;
		ticks_forget(&rtc.ticks, count);
	} else if (ticks_due(&rtc.ticks, count, rtc.flags & B_PERIODIC, now, NS / rate())) {
		rtc.flags |= B_PERIODIC;
	}
}

/* The next interrupt. There is none before the guest has read what the last one was for. */
static uint64_t next_deadline(uint64_t now)
{
	uint64_t deadline = ~0ull, clock = clock_ns();

	if (rtc.line)
		return ~0ull;
	if (cmos[REG_B] & B_PERIODIC && rate())
		deadline = ticks_deadline(&rtc.ticks, ns_of(rtc.ticks.seen + 1, rate()));
	if (cmos[REG_B] & (B_ALARM | B_UPDATED) && !rtc.stopped && now + NS - clock % NS < deadline)
		deadline = now + NS - clock % NS;
	return deadline;
}

/* Bring flags, line and deadline up to date; the line stays up until register C is read. */
void rtc_timer(void)
{
	uint64_t now = now_ns();

	look_at_seconds();
	look_at_periods(now);
	bool high = rtc.flags & cmos[REG_B] & (B_PERIODIC | B_ALARM | B_UPDATED);

	if (high != rtc.line) {
		rtc.line = high;
		irq_set_line(LINE, high);
	}
	machine.rtc_deadline = next_deadline(now);
	timers_rearm();
}

static uint8_t take_flags(void)
{
	uint8_t flags;

	rtc_timer();
	flags = rtc.flags | (rtc.line ? C_REQUEST : 0);
	rtc.flags = 0;
	rtc_timer();
	return flags;
}

/* --- Registers ------------------------------------------------------------------------------------------------- */

void rtc_reset(void)
{
	rtc = (struct rtc_state){ .index = REG_D };
	cmos[REG_A] = 0x26; /* 32768 Hz time base, 1024 Hz rate: what firmware leaves */
	cmos[REG_B] = B_24_HOURS;
	rtc.seen = seconds_at(clock_ns());
	ticks_forget(&rtc.ticks, ticks_of(now_ns(), rate()));
	machine.rtc_deadline = ~0ull;
}

static bool is_clock(uint32_t index)
{
	return index == CENTURY || (index <= YEAR && index != SECONDS_ALARM && index != MINUTES_ALARM && index != HOURS_ALARM);
}

/* SET holds the time while the divider runs on; a reset divider begins half a second before the next update. */
static void set_stopped(uint8_t a, uint8_t b)
{
	bool was_reset = (cmos[REG_A] & A_RESET) == A_RESET, reset = (a & A_RESET) == A_RESET;
	bool stop = b & B_SET || reset, stopped = rtc.stopped;

	if (stop && !stopped)
		show_clock();
	if (was_reset && !reset) {
		uint64_t part = clock_ns() % NS;

		rtc.fraction = (rtc.fraction + NS + HALF_SECOND - part) % NS;
	}
	cmos[REG_A] = a & (uint8_t)~A_UPDATING;
	cmos[REG_B] = b;
	rtc.stopped = stop;
	if (stopped && !stop)
		adopt_clock();
}

static void write_register(uint32_t index, uint8_t value)
{
	if (index > REG_D && index != CENTURY) {
		cmos[index] = value;
		return;
	}
	rtc_timer(); /* what was so far counts by what was set so far */
	switch (index) {
	case REG_A:
		set_stopped(value, cmos[REG_B]);
		ticks_forget(&rtc.ticks, rate() ? ticks_of(now_ns(), rate()) : 0);
		break;
	case REG_B:
		set_stopped(cmos[REG_A], value & B_SET ? value & (uint8_t)~B_UPDATED : value);
		break;
	case REG_C: case REG_D: return;
	default:
		if (is_clock(index) && !rtc.stopped)
			show_clock();
		cmos[index] = value;
		if (is_clock(index) && !rtc.stopped)
			adopt_clock();
	}
	rtc_timer();
}

uint32_t rtc_in(uint32_t port)
{
	if (port == INDEX)
		return 0xff;
	switch (rtc.index) {
	case REG_A:
		return cmos[REG_A] | (!rtc.stopped && clock_ns() % NS >= NS - UPDATE_NS ? A_UPDATING : 0);
	case REG_C: return take_flags();
	case REG_D: return D_BATTERY;
	}
	if (is_clock(rtc.index) && !rtc.stopped)
		show_clock();
	return cmos[rtc.index];
}

void rtc_out(uint32_t port, uint32_t value)
{
	if (port == INDEX)
		rtc.index = value & 0x7f; /* bit 7 masks NMI, of which this machine has none */
	else
		write_register(rtc.index, (uint8_t)value);
}
