/* Interrupt lines of the PC, from devices to both kinds of controller, and which of those the CPU sees. */
#include "monitor.h"

enum { IOAPIC_PIN_OF_PIT = 2 };

/* ISA line to IOAPIC pin: as PC firmware describes it, the PIT arrives at pin 2. */
static uint32_t pin_of(uint32_t line) { return line == 0 ? IOAPIC_PIN_OF_PIT : line; }

void irq_set_line(uint32_t line, bool high)
{
	pic_set_line(line, high);
	if (line != IOAPIC_PIN_OF_PIT)
		ioapic_set_line(pin_of(line), high);
	irq_update();
}

/* An edge. */
void irq_pulse(uint32_t line)
{
	irq_set_line(line, false);
	irq_set_line(line, true);
	if (!(machine.pic[line / 8].elcr >> (line & 7) & 1)) {
		/* The PIC forgets a request whose line falls; the latch of an edge is kept here. */
		machine.pic[line / 8].lines &= (uint8_t)~(1u << (line & 7));
		machine.ioapic_lines &= ~(1u << pin_of(line));
	} else {
		irq_set_line(line, false);
	}
}

static bool pic_reaches_cpu(void) { return pic_pending() && lapic_accepts_extint(); }

/* Does an interrupt wait for delivery? */
bool irq_waits(void) { return lapic_pending() || pic_reaches_cpu(); }

/* Publish whether an interrupt waits, or will in a moment, where inline sti and popf look. */
void irq_update(void)
{
	bool pending = irq_waits();

	shared.not_pending = !(pending || ide_interrupts_wait());
	if (pending && interrupts_on())
		machine.events = 1;
}

/* The vector to deliver now; -1 if none is left. */
int irq_acknowledge(void)
{
	int vector = -1;

	if (pic_reaches_cpu())
		vector = (int)pic_acknowledge();
	else if (lapic_pending())
		vector = (int)lapic_acknowledge();
	irq_update();
	return vector;
}
