/* Turns the machine off. */
#include "port.h"
#include "program.h"

#define ACPI_CONTROL 0x604		/* where the firmware of virtual machines puts it */
#define ACPI_SOFT_OFF 0x2000
#define DEBUG_EXIT 0xf4			/* QEMU's isa-debug-exit */

void program(const char *line)
{
	struct message message;

	(void)line;
	name_register("power");
	do
		receive(ANY, &message);
	while (message.type != POWER_OFF);
	out16(ACPI_CONTROL, ACPI_SOFT_OFF);
	for (volatile unsigned wait = 0; wait < 100000000; wait++)	/* power takes a moment to go */
		;
	out8(DEBUG_EXIT, 0);
}
