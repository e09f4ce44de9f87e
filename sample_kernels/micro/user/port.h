/* Ports, for the programs that the kernel has granted some to. */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("out %1, %0" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("out %1, %0" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("in %0, %1" : "=a"(value) : "Nd"(port));
	return value;
}

#endif
