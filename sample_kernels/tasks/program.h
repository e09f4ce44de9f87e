/* What programs in ring 3 have: calls through gates, and the memory that all share. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "selectors.h"

#include <stdint.h>

/* Print; the number of characters, or -1 if the text cannot be read. */
int write_far(const char *text, uint32_t selector);
/* The same for text of ours, with %s, %u (by the library) and %x. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void yield(void);
_Noreturn void program_exit(void);
/* Call the clerk, a task in ring 0. */
void call_clerk(void);

static inline uint32_t board_read(uint32_t place)
{
	uint32_t value;

	__asm__ volatile("movl %%fs:(,%1,4), %0" : "=r"(value) : "r"(place) : "memory");
	return value;
}

static inline void board_write(uint32_t place, uint32_t value)
{
	__asm__ volatile("movl %0, %%fs:(,%1,4)" : : "r"(value), "r"(place) : "memory");
}

#endif
