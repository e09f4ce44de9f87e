/* The console driver, in ring 1: it may use ports, since IOPL is 1, but nothing of the kernel's memory. Programs call it
 * through a gate, with a pointer to text in a segment of theirs. It runs in the calling task, so their selectors are good
 * here, too; but it has more rights than they, so it must look first. */
#include "selectors.h"
#include "x86.h"

#define COM1 0x3f8
#define LINE_STATUS (COM1 + 5)
#define TRANSMIT_EMPTY 0x20

int driver_write(uint32_t offset, uint16_t selector, uint16_t caller);

/* The selector with no more rights than the caller has. */
static uint16_t weaken(uint16_t selector, uint16_t caller)
{
	__asm__("arpl %1, %0" : "+r"(selector) : "r"(caller) : "cc");
	return selector;
}

static int readable(uint16_t selector)
{
	uint8_t yes;

	__asm__("verr %1\n\tsetz %0" : "=q"(yes) : "r"(selector) : "cc");
	return yes;
}

/* The last offset in the segment. */
static uint32_t limit(uint16_t selector)
{
	uint32_t value;

	__asm__("lsl %1, %0" : "=r"(value) : "r"((uint32_t)selector) : "cc");
	return value;
}

static char far_byte(uint16_t selector, uint32_t offset)
{
	char byte;

	__asm__ volatile("movw %1, %%es\n\tmovb %%es:(%2), %0\n\tmovw %3, %%es"
			 : "=&q"(byte) : "r"(selector), "r"(offset), "r"((uint16_t)DRIVER_DATA));
	return byte;
}

static void put(char character)
{
	while (!(inb(LINE_STATUS) & TRANSMIT_EMPTY))
		;
	outb(COM1, (uint8_t)character);
}

/* Print the text that ends with a zero byte; the number of its characters, or -1 if the caller may not read it all. */
int driver_write(uint32_t offset, uint16_t selector, uint16_t caller)
{
	uint32_t length = 0, last, flags;

	selector = weaken(selector, caller);
	if (!readable(selector))
		return -1;
	last = limit(selector);
	do
		if (offset > last || length > last - offset)
			return -1;
	while (far_byte(selector, offset + length++));

	flags = interrupts_save();		/* a line is printed as a whole */
	for (uint32_t at = offset; at < offset + length - 1; at++) {
		char character = far_byte(selector, at);

		if (character == '\n')
			put('\r');
		put(character);
	}
	interrupts_restore(flags);
	return (int)(length - 1);
}
