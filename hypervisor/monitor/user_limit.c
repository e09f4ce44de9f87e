/* Where user addresses end, learned from the guest's own page tables.
 *
 * Segments of ring 3 are cut there (mirror.c), so that the kernel's pages above need no unmapping when
 * ring 3 begins. A page directory tells by its U/S bits; nothing else is known of the guest. */
#include "monitor.h"

#define ENTRY_PS 0x80u
#define REGION_COUNT 1024u /* one per page directory entry */

/* A page directory without any entry in its user half belongs to the kernel alone: whatever process
 * runs now can serve it. */
bool user_limit_kernel_only(uint32_t cr3)
{
	uint32_t directory = cr3 & ~PAGE_MASK;

	if (!machine.user_limit || !is_ram(directory))
		return false;
	const uint64_t *pd = (const uint64_t *)(ram + directory);

	for (uint32_t i = 0; i < machine.user_limit >> 23; i++)
		if (pd[i])
			return false;
	return true;
}

static bool region_has_user(uint32_t pde)
{
	if ((pde & 5) != 5)
		return false;
	if (pde & ENTRY_PS && shared.cr4 & CR4_PSE)
		return true;
	if (!is_ram(pde))
		return false;
	const uint32_t *table = (const uint32_t *)(ram + (pde & ~PAGE_MASK));

	for (uint32_t i = 0; i < 1024; i++)
		if ((table[i] & 5) == 5)
			return true;
	return false;
}

/* Where do user addresses end? Behind the highest user page, at the first directory entry in use
 * (the kernel's). User segments are cut there, so that nothing above needs unmapping. */
void user_limit_learn(void)
{
	uint32_t directory = shared.cr3 & ~PAGE_MASK, limit = HOLE, highest = REGION_COUNT;

	if (paging_on() && is_ram(directory)) {
		const uint32_t *pd = (const uint32_t *)(ram + directory);

		while (highest > 0 && !region_has_user(pd[highest - 1]))
			highest--;
		for (uint32_t region = highest; region < HOLE >> 22; region++)
			if (pd[region] & 1) {
				limit = region << 22;
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
