/* Where user addresses end, learned from the guest's own page tables.
 *
 * Segments of ring 3 are cut there (mirror.c), so that the kernel's pages above need no unmapping when
 * ring 3 begins. A page directory tells by its U/S bits; nothing else is known of the guest. */
#include "monitor.h"

static bool all_clear(const uint64_t *words, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (words[i])
			return false;
	return true;
}

/* A page directory without any entry in its user half belongs to the kernel alone: whatever process
 * runs now can serve it. */
bool user_limit_kernel_only(void)
{
	const uint64_t *directory = (const uint64_t *)table_of(shared.cr3);
	uint32_t regions = machine.user_limit >> 12 >> region_shift();

	if (!machine.user_limit)
		return false;
	if (!machine.wide)
		return directory && all_clear(directory, regions / 2);
	for (uint32_t first = 0; first < regions; first += 512) {
		uint64_t pdpte = vcpu.pdpte[first / 512];

		directory = pdpte & PTE_P ? (const uint64_t *)table_of(pdpte) : NULL;
		if (directory && !all_clear(directory, regions - first < 512 ? regions - first : 512))
			return false;
	}
	return true;
}

static bool is_user(uint64_t entry) { return (entry & (PTE_P | PTE_U)) == (PTE_P | PTE_U); }

static bool region_has_user(uint64_t pde)
{
	if (!is_user(pde))
		return false;
	if (is_large(pde))
		return true;
	uint32_t *table = table_of(pde);

	for (uint32_t i = 0; table && i < 1u << region_shift(); i++)
		if (is_user(entry_of(table, i)))
			return true;
	return false;
}

/* Where do user addresses end? Behind the highest user page, at the first directory entry in use
 * (the kernel's). User segments are cut there, so that nothing above needs unmapping; where one cannot be cut,
 * everything does. */
void user_limit_learn(void)
{
	const uint32_t shift = region_shift() + 12;
	uint32_t limit = HOLE, highest = 1u << (32 - shift);

	if (paging_on() && !machine.uncut_segments) {
		while (highest > 0 && !region_has_user(directory_entry(highest - 1)))
			highest--;
		for (uint32_t region = highest; region < HOLE >> shift; region++)
			if (directory_entry(region) & PTE_P) {
				limit = region << shift;
				break;
			}
	}
	if (limit == machine.user_limit)
		return;
	machine.user_limit = limit;
	mirror_user_limit();
	/* What was mapped under another limit may now need the list; begin again. */
	pool_flush_all();
}
