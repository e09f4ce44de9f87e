/* Segments, the task state segment, and the registers of sysenter. */
#include "cpu.h"
#include "pc.h"
#include "task.h"
#include "trap.h"

#define SELECTOR_TSS 0x28
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define CPUID_SYSENTER (1 << 11)
#define PORTS 0x800		/* ports that can be granted */

#define FLAT(access) (0x00cf00000000ffffull | (uint64_t)(access) << 40)

/* sysenter and sysexit want these four in this order. */
static uint64_t gdt[] = {
	0,
	[KERNEL_CODE / 8] = FLAT(0x9b),
	[KERNEL_DATA / 8] = FLAT(0x93),
	[USER_CODE / 8] = FLAT(0xfb),
	[USER_DATA / 8] = FLAT(0xf3),
	[SELECTOR_TSS / 8] = 0,
};

static struct {
	uint32_t back_link, esp0, ss0;
	uint32_t unused[22];
	uint16_t trap, io_map;			/* where the map begins, from the beginning of the TSS */
	uint8_t ports[PORTS / 8 + 1];		/* a clear bit permits a port; the last byte must be all ones */
} __attribute__((packed)) tss;

void sysenter_entry(void);			/* entry.S */

static void permit(const struct port_range *range, int yes)
{
	for (uint32_t port = range->first; port <= range->last && port < PORTS; port++)
		if (yes)
			tss.ports[port / 8] &= ~(1 << port % 8);
		else
			tss.ports[port / 8] |= 1 << port % 8;
}

void protection_switch(const struct task *next)
{
	static const struct task *permitted;

	tss.esp0 = (uint32_t)(next->kernel_stack + sizeof(next->kernel_stack));
	if (permitted == next)
		return;
	for (unsigned n = 0; permitted && n < PORT_RANGES; n++)
		if (permitted->ports[n].last)
			permit(&permitted->ports[n], 0);
	for (unsigned n = 0; n < PORT_RANGES; n++)
		if (next->ports[n].last)
			permit(&next->ports[n], 1);
	permitted = next;
}

void protection_init(void)
{
	struct {
		uint16_t limit;
		void *base;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, gdt };
	uint32_t base = (uint32_t)&tss;

	if (!(cpuid_features() & CPUID_SYSENTER))
		panic("this processor has no sysenter");
	for (unsigned byte = 0; byte < sizeof(tss.ports); byte++)
		tss.ports[byte] = 0xff;
	tss.ss0 = KERNEL_DATA;
	tss.io_map = (uint16_t)((uint8_t *)tss.ports - (uint8_t *)&tss);
	gdt[SELECTOR_TSS / 8] = (sizeof(tss) - 1) | (uint64_t)(base & 0xffffff) << 16 | 0x89ull << 40
		| (uint64_t)(base >> 24) << 56;

	/* The kernel's segments are as before, at the same places: none need be loaded anew. */
	__asm__ volatile("lgdt %0" : : "m"(pointer) : "memory");
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
	write_msr(MSR_SYSENTER_CS, KERNEL_CODE);
	write_msr(MSR_SYSENTER_ESP, base);
	write_msr(MSR_SYSENTER_EIP, (uint32_t)sysenter_entry);
}
