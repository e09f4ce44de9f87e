/* The 8254 programmable interval timer: channel 0 drives IRQ 0. */
#include "pc.h"
#include "x86.h"

#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define PIT_RATE_GENERATOR 0x34		/* channel 0, low then high byte, mode 2 */
#define PIT_HERTZ 1193182u

void timer_init(unsigned hertz, interrupt_handler *handler)
{
	unsigned divisor = (PIT_HERTZ + hertz / 2) / hertz;

	outb(PIT_COMMAND, PIT_RATE_GENERATOR);
	outb(PIT_CHANNEL0, divisor & 0xff);
	outb(PIT_CHANNEL0, divisor >> 8 & 0xff);
	irq_handle(IRQ_TIMER, handler);
}
