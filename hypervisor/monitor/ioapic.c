/* The I/O APIC (Intel 82093AA data sheet): 24 pins, each with a redirection entry. Lines are asserted or
 * not, whatever their polarity: an entry's polarity bit is kept and changes nothing. */
#include "monitor.h"

enum { PINS = 24, REGSEL = 0, WINDOW = 0x10, EOI = 0x40, VERSION = 0x20 };

#define ENTRY_MASKED (1ull << 16)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_DESTINATION 0xff00000000000000ull
#define ENTRY_MODE(entry) ((entry) >> 8 & 7)
#define LOWEST_PRIORITY 1 /* 0: fixed; others need no pin here */

void ioapic_reset(void)
{
	machine.ioapic_id = 1;
	for (uint32_t pin = 0; pin < PINS; pin++)
		machine.ioapic_redirection[pin] = ENTRY_MASKED;
}

static void deliver(uint32_t pin)
{
	uint64_t *entry = &machine.ioapic_redirection[pin];
	bool level = *entry & ENTRY_LEVEL;

	if (*entry & ENTRY_MASKED || (level && *entry & ENTRY_REMOTE_IRR) || ENTRY_MODE(*entry) > LOWEST_PRIORITY ||
	    !lapic_is((uint32_t)(*entry >> 56), *entry & ENTRY_LOGICAL))
		return;
	if (level)
		*entry |= ENTRY_REMOTE_IRR;
	lapic_inject((uint32_t)*entry & 0xff, level);
}

void ioapic_set_line(uint32_t pin, bool high)
{
	uint32_t bit = 1u << pin;
	bool edge = high && !(machine.ioapic_lines & bit);

	machine.ioapic_lines = high ? machine.ioapic_lines | bit : machine.ioapic_lines & ~bit;
	if (edge || (high && machine.ioapic_redirection[pin] & ENTRY_LEVEL))
		deliver(pin);
}

bool ioapic_open(uint32_t pin) { return !(machine.ioapic_redirection[pin] & ENTRY_MASKED); }

/* Does the local APIC hold a request of this pin that it has not delivered yet? */
bool ioapic_unserved(uint32_t pin)
{
	return ioapic_open(pin) && lapic_waits((uint32_t)machine.ioapic_redirection[pin] & 0xff);
}

/* The local APIC has seen the end of a level-triggered interrupt. */
void ioapic_eoi(uint32_t vector)
{
	for (uint32_t pin = 0; pin < PINS; pin++) {
		uint64_t *entry = &machine.ioapic_redirection[pin];

		if (!(*entry & ENTRY_REMOTE_IRR) || (*entry & 0xff) != vector)
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		if (machine.ioapic_lines >> pin & 1)
			deliver(pin);
	}
}

uint32_t ioapic_read(uint32_t offset)
{
	uint32_t reg = machine.ioapic_select;

	if (offset == REGSEL)
		return reg;
	if (offset != WINDOW)
		return 0;
	if (reg == 0 || reg == 2)
		return machine.ioapic_id << 24;
	if (reg == 1)
		return (PINS - 1) << 16 | VERSION;
	if (reg >= 0x10 && reg < 0x10 + 2 * PINS)
		return (uint32_t)(machine.ioapic_redirection[(reg - 0x10) / 2] >> (reg & 1) * 32);
	return 0;
}

void ioapic_write(uint32_t offset, uint32_t value)
{
	uint32_t reg = machine.ioapic_select;

	if (offset == REGSEL) {
		machine.ioapic_select = value & 0xff;
	} else if (offset == EOI) {
		ioapic_eoi(value & 0xff);
	} else if (offset == WINDOW && reg == 0) {
		machine.ioapic_id = value >> 24 & 0xf;
	} else if (offset == WINDOW && reg >= 0x10 && reg < 0x10 + 2 * PINS) {
		uint64_t *entry = &machine.ioapic_redirection[(reg - 0x10) / 2];
		const uint64_t read_only = ENTRY_REMOTE_IRR | 1ull << 12;

		pit_masked();
		if (reg & 1)
			*entry = (*entry & 0xffffffffu) | ((uint64_t)value << 32 & ENTRY_DESTINATION);
		else
			*entry = (*entry & (0xffffffff00000000ull | read_only)) | (value & ~read_only & 0x1ffffu);
		if (!(*entry & ENTRY_LEVEL))
			*entry &= ~ENTRY_REMOTE_IRR;
		else if (machine.ioapic_lines >> (reg - 0x10) / 2 & 1)
			deliver((reg - 0x10) / 2);
		timers_rearm(); /* the PIT's pin may have been opened */
	}
	irq_update();
}
