/* Turning the machine off. A PC does it by ACPI, whose port only firmware tables tell; virtual machines have
 * it at a well-known place. */
#include "pc.h"
#include "x86.h"

#define ACPI_PM1A_CONTROL 0x604		/* where the firmware of QEMU's PC puts it */
#define ACPI_SLEEP_ENABLE 0x2000	/* with sleep type 0: soft off */
#define DEBUG_EXIT 0xf4			/* QEMU's isa-debug-exit: ends with status 2 * value + 1 */

void power_off(void)
{
	cli();
	outw(ACPI_PM1A_CONTROL, ACPI_SLEEP_ENABLE);
	/* Still here: power takes a moment to go. Give it one before trying the next way. */
	for (volatile unsigned wait = 0; wait < 100000000; wait++)
		;
	outb(DEBUG_EXIT, 0);
	for (;;)			/* a bare PC: the user turns it off */
		hlt();
}
