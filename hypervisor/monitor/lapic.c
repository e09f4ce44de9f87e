/* The local APIC (SDM vol. 3, chapter 10) of a machine with one CPU.
 *
 * Its registers are read far more often than they change (kernels read the ID to find out where they
 * run). So after a number of trapped reads the guest gets the register page mapped read-only, from an
 * image that each change here brings up to date. The timer's current count would stand still in such an
 * image: a guest that has ever read it keeps trapping. */
#include "monitor.h"

enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, APR = 0x90, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0,
       SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR_LOW = 0x300, ICR_HIGH = 0x310,
       LVT_TIMER = 0x320, LVT_ERROR = 0x370, INITIAL_COUNT = 0x380, CURRENT_COUNT = 0x390, DIVIDE = 0x3e0 };
enum { LVT_TIMER_INDEX = 0, LVT_LINT0_INDEX = 3, LVT_LINT1_INDEX = 4, LVT_ERROR_INDEX = 5, READS_BEFORE_IMAGE = 64 };

/* Writable bits of the LVT registers, in their order: timer, thermal, performance, LINT0, LINT1, error. The
 * timer has no TSC-deadline mode. */
static const uint32_t lvt_writable[6] = { 0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

#define LVT_MASKED 0x10000u
#define LVT_PERIODIC 0x20000u
#define SVR_ENABLED 0x100u
#define ICR_LOGICAL 0x800u
#define ESR_SEND_ILLEGAL 0x20u
#define ESR_RECEIVED_ILLEGAL 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u
#define MODE(lvt) ((lvt) >> 8 & 7)
#define MODE_FIXED 0u
#define MODE_NMI 4u
#define MODE_EXTINT 7u
#define APIC_VERSION 0x00050014u
#define NS_PER_COUNT 1u /* a bus clock of 1 GHz before the divider, as QEMU's */

#define apic machine.lapic

static uint32_t *image(uint32_t offset) { return (uint32_t *)(state + LAPIC_PAGE_OFFSET + offset); }

static bool enabled(void) { return vcpu.apic_base & 0x800 && apic.svr & SVR_ENABLED; }

static int highest(const uint32_t bits[8])
{
	for (int word = 7; word >= 0; word--)
		if (bits[word])
			return word * 32 + 31 - __builtin_clz(bits[word]);
	return -1;
}

static uint32_t processor_priority(void)
{
	int served = highest(apic.isr);
	uint32_t in_service = served < 0 ? 0 : (uint32_t)served & 0xf0;

	return (apic.tpr & 0xf0) >= in_service ? apic.tpr : in_service;
}

static uint32_t divider(void)
{
	uint32_t code = (apic.divide & 3) | (apic.divide >> 1 & 4);

	return code == 7 ? 1 : 2u << code;
}

static uint32_t register_value(uint32_t offset)
{
	switch (offset) {
	case ID: return apic.id << 24;
	case VERSION: return APIC_VERSION;
	case TPR: return apic.tpr;
	case APR: case PPR: return processor_priority();
	case LDR: return apic.ldr;
	case DFR: return apic.dfr;
	case SVR: return apic.svr;
	case ESR: return apic.esr;
	case ICR_LOW: return apic.icr_low;
	case ICR_HIGH: return apic.icr_high;
	case INITIAL_COUNT: return apic.initial_count;
	case DIVIDE: return apic.divide;
	}
	if (offset >= LVT_TIMER && offset <= LVT_ERROR && !(offset & 0xf))
		return apic.lvt[(offset - LVT_TIMER) / 0x10];
	if (offset >= ISR && offset < ESR && !(offset & 0xf)) {
		uint32_t word = offset >> 4 & 7;

		return offset < TMR ? apic.isr[word] : offset < IRR ? apic.tmr[word] : apic.irr[word];
	}
	return 0;
}

/* The registers that interrupts change. */
static void refresh_interrupts(void)
{
	*image(TPR) = apic.tpr;
	*image(APR) = *image(PPR) = processor_priority();
	for (uint32_t word = 0; word < 8; word++) {
		*image(ISR + word * 0x10) = apic.isr[word];
		*image(TMR + word * 0x10) = apic.tmr[word];
		*image(IRR + word * 0x10) = apic.irr[word];
	}
}

static void refresh(void)
{
	static const uint16_t fixed[] = { ID, VERSION, LDR, DFR, SVR, ESR, ICR_LOW, ICR_HIGH, INITIAL_COUNT, DIVIDE };

	refresh_interrupts();
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		*image(fixed[i]) = register_value(fixed[i]);
	for (uint32_t offset = LVT_TIMER; offset <= LVT_ERROR; offset += 0x10)
		*image(offset) = register_value(offset);
}

void lapic_reset(void)
{
	memset(&apic, 0, sizeof(apic));
	apic.dfr = ~0u;
	apic.svr = 0xff;
	for (uint32_t i = 0; i < 6; i++)
		apic.lvt[i] = LVT_MASKED;
	/* As PC firmware leaves the boot CPU: virtual wire mode. */
	apic.svr |= SVR_ENABLED;
	apic.lvt[LVT_LINT0_INDEX] = MODE_EXTINT << 8;
	apic.lvt[LVT_LINT1_INDEX] = MODE_NMI << 8;
	ticks_forget(&apic.ticks, 0);
	refresh();
}

/* PIC interrupts pass through LINT0, or straight to the CPU where the local APIC is off. */
bool lapic_accepts_extint(void)
{
	uint32_t lvt = apic.lvt[LVT_LINT0_INDEX];

	return !enabled() || (!(lvt & LVT_MASKED) && MODE(lvt) == MODE_EXTINT);
}

bool lapic_pending(void)
{
	int vector = enabled() ? highest(apic.irr) : -1;

	return vector >= 0 && ((uint32_t)vector & 0xf0) > (processor_priority() & 0xf0);
}

uint32_t lapic_acknowledge(void)
{
	uint32_t vector = (uint32_t)highest(apic.irr);

	apic.irr[vector / 32] &= ~(1u << vector % 32);
	apic.isr[vector / 32] |= 1u << vector % 32;
	refresh_interrupts();
	return vector;
}

bool lapic_waits(uint32_t vector) { return apic.irr[vector / 32] >> vector % 32 & 1; }

static void error(uint32_t bit);

static void accept(uint32_t vector, bool level)
{
	if (!enabled())
		return;
	if (vector < 16) {
		error(ESR_RECEIVED_ILLEGAL);
		return;
	}
	apic.irr[vector / 32] |= 1u << vector % 32;
	if (level)
		apic.tmr[vector / 32] |= 1u << vector % 32;
	else
		apic.tmr[vector / 32] &= ~(1u << vector % 32);
	refresh_interrupts();
}

/* An error shows in ESR once the guest has written there. Its own interrupt may have an illegal vector, too:
 * that error is then noted already. */
static void error(uint32_t bit)
{
	bool known = apic.esr_new & bit;
	uint32_t lvt = apic.lvt[LVT_ERROR_INDEX];

	apic.esr_new |= bit;
	if (!known && !(lvt & LVT_MASKED))
		accept(lvt & 0xff, false);
}

void lapic_inject(uint32_t vector, bool level)
{
	accept(vector, level);
	irq_update();
}

/* LINT0, where the PIC's request arrives; as a fixed interrupt it is an edge. */
void lapic_wire_changed(bool high)
{
	uint32_t lvt = apic.lvt[LVT_LINT0_INDEX];

	if (high && !(lvt & LVT_MASKED) && MODE(lvt) == MODE_FIXED)
		accept(lvt & 0xff, false);
	apic.wire = high;
}

/* Does `destination` name this local APIC? */
bool lapic_is(uint32_t destination, bool logical)
{
	uint32_t own = apic.ldr >> 24;

	if (!logical || destination == 0xff)
		return destination == apic.id || destination == 0xff;
	if (apic.dfr >> 28 == 0xf)
		return destination & own;
	return (destination >> 4 == own >> 4 || destination >> 4 == 0xf) && destination & own & 0xf; /* cluster */
}

static void end_of_interrupt(void)
{
	int vector = highest(apic.isr);

	if (vector < 0)
		return;
	apic.isr[vector / 32] &= ~(1u << vector % 32);
	if (apic.tmr[vector / 32] >> vector % 32 & 1)
		ioapic_eoi((uint32_t)vector);
}

/* --- The timer: it counts down from `left` at `start`, then, if periodic, from the initial count ------------ */

static bool is_periodic(void) { return apic.lvt[LVT_TIMER_INDEX] & LVT_PERIODIC && apic.initial_count; }
static uint64_t count_ns(uint64_t counts) { return counts * divider() * NS_PER_COUNT; }
static uint64_t counted(uint64_t now) { return (now - apic.start) / divider() / NS_PER_COUNT; }

static uint32_t current_count(uint64_t now)
{
	uint64_t done = counted(now);

	if (done < apic.left)
		return apic.left - (uint32_t)done;
	if (!apic.left || !is_periodic())
		return 0;
	return apic.initial_count - (uint32_t)((done - apic.left) % apic.initial_count);
}

/* Times that it has reached 0 since `start`. */
static uint64_t expired(uint64_t now)
{
	uint64_t done = counted(now);

	if (!apic.left || done < apic.left)
		return 0;
	return is_periodic() ? 1 + (done - apic.left) / apic.initial_count : 1;
}

static void start_timer(uint32_t left, uint64_t now)
{
	apic.left = left;
	apic.start = now;
	ticks_forget(&apic.ticks, 0);
}

/* When the timer interrupts next, ns; ~0: not. */
uint64_t lapic_deadline(void)
{
	uint64_t times = apic.ticks.seen, regular = ~0ull;

	if (apic.lvt[LVT_TIMER_INDEX] & LVT_MASKED)
		return ~0ull;
	if (apic.left && (!times || is_periodic()))
		regular = apic.start + count_ns(apic.left + times * apic.initial_count);
	return ticks_deadline(&apic.ticks, regular);
}

/* Interrupt if the timer has run out, perhaps several times. */
void lapic_timer(uint64_t now)
{
	uint32_t lvt = apic.lvt[LVT_TIMER_INDEX];
	uint64_t times = expired(now);

	if (lvt & LVT_MASKED)
		ticks_forget(&apic.ticks, times);
	else if (ticks_due(&apic.ticks, times, lapic_waits(lvt & 0xff), now, count_ns(apic.initial_count)))
		lapic_inject(lvt & 0xff, false);
}

/* What changes how the timer counts: it goes on from where it is. */
static void change_timer(uint32_t *reg, uint32_t value)
{
	uint64_t now = now_ns();

	lapic_timer(now);
	start_timer(current_count(now), now);
	*reg = value;
	timers_rearm();
}

/* --- Registers ----------------------------------------------------------------------------------------------- */

/* An interprocessor interrupt: this CPU is the only one, so only those to itself arrive. */
static void send(uint32_t command)
{
	uint32_t shorthand = command >> 18 & 3, vector = command & 0xff;
	bool to_self = shorthand == 1 || shorthand == 2 ||
		       (shorthand == 0 && lapic_is(apic.icr_high >> 24, command & ICR_LOGICAL));

	apic.icr_low = command & 0xccfffu; /* delivered at once: never busy */
	if (MODE(command) > 1)
		return;
	if (vector < 16)
		error(ESR_SEND_ILLEGAL);
	else if (to_self)
		accept(vector, false);
}

static void write_lvt(uint32_t index, uint32_t value)
{
	value &= lvt_writable[index];
	if (!(apic.svr & SVR_ENABLED))
		value |= LVT_MASKED;
	if (index == LVT_TIMER_INDEX)
		change_timer(&apic.lvt[index], value);
	else
		apic.lvt[index] = value;
}

static void write_svr(uint32_t value)
{
	apic.svr = value & 0x3ff;
	if (apic.svr & SVR_ENABLED)
		return;
	for (uint32_t i = 0; i < 6; i++)
		write_lvt(i, apic.lvt[i]);
}

static bool is_register(uint32_t offset)
{
	if (offset & 0xf)
		return false;
	return offset == ID || offset == VERSION || (offset >= TPR && offset <= EOI) || (offset >= LDR && offset <= ESR) ||
	       (offset >= ICR_LOW && offset <= CURRENT_COUNT) || offset == DIVIDE;
}

static void write_register(uint32_t offset, uint32_t value)
{
	switch (offset) {
	case ID: apic.id = value >> 24; break;
	case LDR: apic.ldr = value & 0xff000000; break;
	case DFR: apic.dfr = value | 0x0fffffff; break;
	case SVR: write_svr(value); break;
	case ESR:
		apic.esr = apic.esr_new;
		apic.esr_new = 0;
		break;
	case ICR_LOW: send(value); break;
	case ICR_HIGH: apic.icr_high = value & 0xff000000; break;
	case INITIAL_COUNT:
		apic.initial_count = value;
		start_timer(value, now_ns());
		timers_rearm();
		break;
	case DIVIDE: change_timer(&apic.divide, value & 0xb); break;
	default:
		if (offset >= LVT_TIMER && offset <= LVT_ERROR && !(offset & 0xf))
			write_lvt((offset - LVT_TIMER) / 0x10, value);
		else if (!is_register(offset))
			error(ESR_ILLEGAL_REGISTER);
	}
}

uint32_t lapic_read(uint32_t offset)
{
	apic.reads++;
	if (offset == CURRENT_COUNT) {
		apic.count_was_read = 1;
		return current_count(now_ns());
	}
	if (!is_register(offset)) {
		error(ESR_ILLEGAL_REGISTER);
		irq_update();
	}
	return register_value(offset);
}

bool lapic_page_readable(void)
{
	return apic.reads > READS_BEFORE_IMAGE && !apic.count_was_read;
}

void lapic_write(uint32_t offset, uint32_t value)
{
	switch (offset) {
	case TPR: apic.tpr = value & 0xff; break;
	case EOI: end_of_interrupt(); break;
	default: write_register(offset, value); refresh(); irq_update(); return;
	}
	refresh_interrupts();
	irq_update();
}
