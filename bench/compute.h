/* The compute loop of the benchmark: the same instruction bytes in 32-bit guest and 64-bit host code. */
#ifndef COMPUTE_H
#define COMPUTE_H

#include <stdint.h>

#define COMPUTE_STEPS 20000000u

static inline uint32_t compute(uint32_t steps)
{
	uint32_t value = 1;

	__asm__ volatile(
		".p2align 6\n"
		"1:\timull $1664525, %0, %0\n\t"
		"addl $1013904223, %0\n\t"
		"rorl $7, %0\n\t"
		"subl $1, %1\n\t"
		"jnz 1b"
		: "+r"(value), "+r"(steps) : : "cc");
	return value;
}

static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

#endif
