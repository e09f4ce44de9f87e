/* The two functions that a compiler may call on its own, even for freestanding code. The `rep` forms keep it
 * from recognising the loops and calling the function from within itself. */
#include "pc.h"

void *memset(void *destination, int value, size_t length);
void *memcpy(void *destination, const void *source, size_t length);

void *memset(void *destination, int value, size_t length)
{
	void *at = destination;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(length) : "a"(value) : "memory");
	return destination;
}

void *memcpy(void *destination, const void *source, size_t length)
{
	void *at = destination;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(source), "+c"(length) : : "memory");
	return destination;
}
