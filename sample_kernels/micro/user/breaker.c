/* Does what a program may not. Its words are its name and what it does. */
#include "program.h"

static void act(const char *what)
{
	if (same(what, "kernel"))
		*(volatile uint32_t *)0xc0101000 = 0;
	else if (same(what, "nothing"))
		*(volatile uint32_t *)(USER_BASE + 0x1000000) = 0;
	else if (same(what, "interrupts"))
		__asm__ volatile("cli");
	else if (same(what, "port"))
		__asm__ volatile("out 0x80, al");
	else if (same(what, "division"))
		__asm__ volatile("xor ecx, ecx\n\tdiv ecx" : : : "eax", "ecx", "edx", "cc");
	else
		print("  breaker: nothing is known as %s\n", what);
}

void program(const char *line)
{
	char name[16], what[16];
	struct message message;

	nth_word(line, 1, name, sizeof(name));
	nth_word(line, 2, what, sizeof(what));
	name_register(name);
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);

		act(what);
		reply(client, &message);
	}
}
