/* The global descriptor table. */
#include "descriptors.h"
#include "pc.h"

#define ENTRIES 64
#define BUSY ((uint64_t)ACCESS_TSS_BUSY << 40)
#define SYSTEM_SEGMENT_BIT 0x10		/* of the access byte: clear for LDT, TSS and gates */
#define FLAG_32_BIT (1ull << 54)
#define FLAG_PAGES (1ull << 55)		/* the limit counts 4 KiB pages */

static volatile uint64_t gdt[ENTRIES];

uint64_t segment_descriptor(const volatile void *base, uint32_t size, unsigned access)
{
	uint64_t address = (uint32_t)base, limit = size - 1, flags = 0;

	if (access & SYSTEM_SEGMENT_BIT)
		flags |= FLAG_32_BIT;
	if (limit > 0xfffff) {
		limit >>= 12;
		flags |= FLAG_PAGES;
	}
	return (limit & 0xffff) | (address & 0xffffff) << 16 | (uint64_t)access << 40 | (limit >> 16) << 48 | flags
		| (address >> 24) << 56;
}

uint64_t gate_descriptor(uint16_t selector, uint32_t offset, unsigned parameters, unsigned access)
{
	return (offset & 0xffff) | (uint32_t)selector << 16 | (uint64_t)(parameters | access << 8) << 32
		| (uint64_t)(offset >> 16) << 48;
}

void gdt_set(uint16_t selector, uint64_t descriptor)
{
	gdt[selector / 8] = descriptor;
}

void *gdt_base(uint16_t selector)
{
	uint64_t descriptor = gdt[selector / 8];

	return (void *)((uint32_t)(descriptor >> 16 & 0xffffff) | (uint32_t)(descriptor >> 56) << 24);
}

void gdt_set_busy(uint16_t selector, int busy)
{
	gdt[selector / 8] = (gdt[selector / 8] & ~BUSY) | (busy ? BUSY : 0);
}

void gdt_init(void)
{
	struct {
		uint16_t limit;
		volatile void *base;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, gdt };

	/* The same segments at the same places, so none need be loaded anew. */
	gdt_set(KERNEL_CODE, segment_descriptor(0, 0, ACCESS_CODE));
	gdt_set(KERNEL_DATA, segment_descriptor(0, 0, ACCESS_DATA));
	__asm__ volatile("lgdt %0" : : "m"(pointer) : "memory");
}
