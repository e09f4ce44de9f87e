/* Flat segments for the kernel and for processes, and the one task state segment: the processor takes the kernel's
 * stack from there when it comes from ring 3. */
#include "segments.h"

#include "pc.h"

/* A descriptor with base 0 and limit 4 GiB; `access` is its type and privilege byte (SDM volume 3, 3.4.5). */
#define FLAT(access) (0x00cf00000000ffffull | (uint64_t)(access) << 40)
#define TASK_AVAILABLE 0x89		/* present, 32-bit TSS (SDM volume 3, 8.2.2) */

static struct {
	uint32_t previous, esp0, ss0;
	uint32_t unused[22];		/* for switching tasks, which the kernel does without the TSS */
	uint16_t trap, io_map;
} tss = { .ss0 = KERNEL_DATA, .io_map = sizeof(tss) };	/* beyond the limit: no ports for ring 3 */

static uint64_t gdt[] = {
	0,
	[KERNEL_CODE / 8] = FLAT(0x9b),		/* present, ring 0, code, readable, accessed */
	[KERNEL_DATA / 8] = FLAT(0x93),		/* present, ring 0, data, writable, accessed */
	[USER_CODE / 8] = FLAT(0xfb),		/* the same for ring 3 */
	[USER_DATA / 8] = FLAT(0xf3),
	[TASK_STATE / 8] = 0,			/* its address is not a constant for the compiler */
};

void kernel_stack_set(uint32_t top)
{
	tss.esp0 = top;
}

void segments_init(void)
{
	uint64_t base = (uint32_t)&tss;
	struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, gdt };

	gdt[TASK_STATE / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (uint64_t)TASK_AVAILABLE << 40 |
		base >> 24 << 56;
	__asm__ volatile(
		"lgdt %0\n\t"
		"ljmp %1, $1f\n"
		"1:\n\t"
		"movw %w2, %%ds\n\t"
		"movw %w2, %%es\n\t"
		"movw %w2, %%ss\n\t"
		"movw %w3, %%fs\n\t"		/* null: processes find nothing of ours there */
		"movw %w3, %%gs\n\t"
		"ltr %w4"
		: : "m"(pointer), "i"(KERNEL_CODE), "r"(KERNEL_DATA), "r"(0), "r"(TASK_STATE) : "memory");
}
