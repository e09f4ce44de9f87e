/* Programs that behave. Two that run at the same time are two copies of one image, each in its own segments. */
#include "program.h"
#include "programs.h"

uint32_t library_ring(void);

static uint32_t visits;			/* each copy has its own */

static uint32_t code_selector(void)
{
	uint32_t selector;

	__asm__("movl %%cs, %0" : "=r"(selector));
	return selector;
}

void introduce(uint32_t number)
{
	uint32_t task, table, last;

	__asm__("str %0" : "=r"(task));
	__asm__("sldt %0" : "=r"(table));
	__asm__("lsl %1, %0" : "=r"(last) : "r"(PROGRAM_DATA) : "cc");
	visits++;
	say("  %u: ring %u, task %x, local table %x, addresses up to %x, visit %u\n", number, code_selector() & 3, task,
	    table, last, visits);
	say("  %u: the library runs in ring %u for me\n", number, library_ring());
}

void take_turns(uint32_t number)
{
	for (uint32_t turn = 1; turn <= 3; turn++) {
		visits++;
		say("  %u: turn %u, visit %u\n", number, turn, visits);
		yield();
	}
}

/* Each waits, without giving way, for what only the other can do. */
void wait_for_the_other(uint32_t number)
{
	if (number == 1) {
		say("  1: waits and does not give way\n");
		board_write(0, 1);
		while (board_read(0) == 1)
			;
		say("  1: has seen the other\n");
		board_write(0, 3);
	} else {
		while (board_read(0) == 0)
			;
		say("  2: has its turn all the same\n");
		board_write(0, 2);
		while (board_read(0) == 2)
			;
		say("  2: has seen the other\n");
	}
}

/* A call to another task, by a gate in the local table, and back. */
void be_served(uint32_t unused)
{
	(void)unused;
	visits = 41;
	call_clerk();
	visits++;
	call_clerk();
	say("  program: served twice, and my registers and memory are as they were: %u\n", visits);
}

/* What the driver does not print: segments that the program may not read, and more than there is. */
void print_from_elsewhere(uint32_t unused)
{
	static const char text[] = "  driver: prints from any segment that its caller may read\n";

	(void)unused;
	write_far(text, PROGRAM_CODE);
	say("  program: %s\n", write_far("", 0x10) < 0 ? "not from the kernel's" : "from the kernel's, too");
	say("  program: %s\n", write_far("", DRIVER_DATA) < 0 ? "not from the driver's own" : "from the driver's, too");
	say("  program: %s\n", write_far((char *)0x14000, PROGRAM_DATA) < 0 ? "not beyond the end" : "beyond the end");
	say("  program: %s\n", write_far("", PROGRAM_ABSENT) < 0 ? "not from one that is absent" : "from an absent one");
}

#define SCRATCH 0x3ff			/* a register of the serial port that only stores */

/* It may use this port though it is in ring 3 and IOPL is 1. The second program with this code may not. */
void use_a_port(uint32_t number)
{
	uint8_t value;

	__asm__ volatile("outb %1, %w2\n\tinb %w2, %0" : "=a"(value) : "0"((uint8_t)0x5a), "d"(SCRATCH));
	say("  %u: port %x holds %x\n", number, SCRATCH, value);
}
