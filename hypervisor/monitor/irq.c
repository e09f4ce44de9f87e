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

/* An edge. The PIC forgets a request whose line falls, so the latch of an edge is kept here; one on a line
 * that the PIC takes for level-triggered stays until it is taken. */
void irq_pulse(uint32_t line)
{
	struct pic_chip *pic = &machine.pic[line / 8];
	uint8_t bit = (uint8_t)(1u << (line & 7));

	irq_set_line(line, false);
	irq_set_line(line, true);
	machine.ioapic_lines &= ~(1u << pin_of(line));
	if (pic->elcr & bit)
		pic->pulsed |= bit;
	else
		pic->lines &= (uint8_t)~bit;
}

/* Is a request of this line still waiting, so that another would be lost in it? */
bool irq_unserved(uint32_t line)
{
	const struct pic_chip *pic = &machine.pic[line / 8];

	return (pic->irr & ~pic->imr) >> (line & 7) & 1 || ioapic_unserved(pin_of(line));
}

/* Can a request of this line reach anything? */
bool irq_open(uint32_t line)
{
	return !(machine.pic[line / 8].imr >> (line & 7) & 1) || ioapic_open(pin_of(line));
}

static bool pic_reaches_cpu(void) { return pic_pending() && lapic_accepts_extint(); }

/* Does an interrupt wait for delivery? */
bool irq_waits(void) { return lapic_pending() || pic_reaches_cpu(); }

/* Publish whether an interrupt waits, or will in a moment, where inline sti and popf look. */
void irq_update(void)
{
	bool wire = pic_pending(), pending;

	lapic_wire(wire);
	pending = lapic_pending() || (wire && lapic_accepts_extint());

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
