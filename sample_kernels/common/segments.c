/* Flat segments: the loader's may be anywhere, and gone as soon as we use its memory. */
#include "pc.h"

/* A descriptor with base 0 and limit 4 GiB; `access` is its type and privilege byte (SDM volume 3, 3.4.5). */
#define FLAT(access) (0x00cf00000000ffffull | (uint64_t)(access) << 40)

static const uint64_t gdt[] = {
	0,
	[KERNEL_CODE / 8] = FLAT(0x9b),		/* present, ring 0, code, readable, accessed */
	[KERNEL_DATA / 8] = FLAT(0x93),		/* present, ring 0, data, writable, accessed */
};

void segments_init(void)
{
	struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, gdt };

	/* CS changes only by a far jump; the rest by plain moves. */
	__asm__ volatile(
		"lgdt %0\n\t"
		"ljmp %1, $1f\n"
		"1:\n\t"
		"movw %w2, %%ds\n\t"
		"movw %w2, %%es\n\t"
		"movw %w2, %%fs\n\t"
		"movw %w2, %%gs\n\t"
		"movw %w2, %%ss"
		: : "m"(pointer), "i"(KERNEL_CODE), "r"(KERNEL_DATA) : "memory");
}
