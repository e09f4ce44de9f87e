/* The instructions that C cannot spell, in Intel syntax: compile with -masm=intel. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

#define EFLAGS_IF 0x200

static inline void write_cr3(uint32_t directory)
{
	__asm__ volatile("mov cr3, %0" : : "r"(directory) : "memory");
}

static inline uint32_t read_cr2(void)
{
	uint32_t address;

	__asm__ volatile("mov %0, cr2" : "=r"(address));
	return address;
}

static inline void write_msr(uint32_t number, uint32_t value)
{
	__asm__ volatile("wrmsr" : : "c"(number), "a"(value), "d"(0));
}

static inline uint32_t cpuid_features(void)
{
	uint32_t eax = 1, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=d"(edx) : : "ebx", "ecx");
	return edx;
}

/* Sleep until an interrupt has come; off again after it. */
static inline void wait_for_interrupt(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

#endif
