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
enum { LVT_TIMER_INDEX = 0, LVT_LINT0_INDEX = 3, LVT_LINT1_INDEX = 4, READS_BEFORE_IMAGE = 64 };

#define LVT_MASKED 0x10000u
#define LVT_PERIODIC 0x20000u
#define SVR_ENABLED 0x100u
#define MODE(lvt) ((lvt) >> 8 & 7)
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

static uint64_t period(void) { return (uint64_t)apic.initial_count * divider() * NS_PER_COUNT; }

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

static void refresh(void)
{
	static const uint16_t fixed[] = { ID, VERSION, TPR, APR, PPR, LDR, DFR, SVR, ESR, ICR_LOW, ICR_HIGH,
					  INITIAL_COUNT, DIVIDE };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		*image(fixed[i]) = register_value(fixed[i]);
	for (uint32_t offset = ISR; offset < ESR; offset += 0x10)
		*image(offset) = register_value(offset);
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
	apic.deadline = ~0ull;
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
	refresh();
	return vector;
}

void lapic_inject(uint32_t vector, bool level)
{
	if (!enabled())
		return;
	if (vector < 16) {
		apic.esr_new |= 0x40; /* received illegal vector */
		return;
	}
	apic.irr[vector / 32] |= 1u << vector % 32;
	if (level)
		apic.tmr[vector / 32] |= 1u << vector % 32;
	else
		apic.tmr[vector / 32] &= ~(1u << vector % 32);
	refresh();
	irq_update();
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

static uint32_t current_count(void)
{
	uint64_t elapsed;

	if (!apic.initial_count || apic.deadline == ~0ull)
		return 0;
	elapsed = now_ns() - apic.start;
	if (elapsed >= period())
		return apic.lvt[LVT_TIMER_INDEX] & LVT_PERIODIC ?
		       apic.initial_count - (uint32_t)(elapsed % period() / divider() / NS_PER_COUNT) : 0;
	return apic.initial_count - (uint32_t)(elapsed / divider() / NS_PER_COUNT);
}

static void start_timer(uint32_t count)
{
	apic.initial_count = count;
	apic.start = now_ns();
	apic.deadline = count ? apic.start + period() : ~0ull;
	timers_rearm();
}

/* The deadline has passed, perhaps several times: one interrupt, and the phase is kept. */
void lapic_timer(uint64_t now)
{
	uint32_t lvt = apic.lvt[LVT_TIMER_INDEX];

	if (now < apic.deadline)
		return;
	if (lvt & LVT_PERIODIC && period()) {
		uint64_t missed = (now - apic.start) / period();

		apic.start += missed * period();
		apic.deadline = apic.start + period();
	} else {
		apic.deadline = ~0ull;
	}
	if (!(lvt & LVT_MASKED))
		lapic_inject(lvt & 0xff, false);
}

/* An interprocessor interrupt: this CPU is the only one, so only those to itself arrive. */
static void send(uint32_t command)
{
	uint32_t shorthand = command >> 18 & 3, target = apic.icr_high >> 24;
	bool to_self = shorthand == 1 || shorthand == 2 ||
		       (shorthand == 0 && (target == apic.id || target == 0xff ||
					   (command & 0x800 && target & apic.ldr >> 24)));

	apic.icr_low = command & ~0x1000u; /* delivered at once */
	if (to_self && MODE(command) < 2)
		lapic_inject(command & 0xff, false);
}

uint32_t lapic_read(uint32_t offset)
{
	apic.reads++;
	if (offset == CURRENT_COUNT) {
		apic.count_was_read = 1;
		return current_count();
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
	case ID: apic.id = value >> 24; break;
	case TPR: apic.tpr = value & 0xff; break;
	case EOI: end_of_interrupt(); break;
	case LDR: apic.ldr = value & 0xff000000; break;
	case DFR: apic.dfr = value | 0x0fffffff; break;
	case SVR: apic.svr = value & 0x3ff; break;
	case ESR:
		apic.esr = apic.esr_new;
		apic.esr_new = 0;
		break;
	case ICR_LOW: send(value); break;
	case ICR_HIGH: apic.icr_high = value & 0xff000000; break;
	case INITIAL_COUNT: start_timer(value); break;
	case DIVIDE: apic.divide = value & 0xb; break;
	default:
		if (offset >= LVT_TIMER && offset <= LVT_ERROR && !(offset & 0xf))
			apic.lvt[(offset - LVT_TIMER) / 0x10] = value & 0x310ff;
		if (offset >= LVT_TIMER && offset <= LVT_ERROR && offset != LVT_TIMER && !(offset & 0xf))
			apic.lvt[(offset - LVT_TIMER) / 0x10] = value & 0x1a7ff;
	}
	refresh();
	irq_update();
}
