#include "paging.h"
#include "cpu.h"
#include "interface.h"

#define PRESENT 1
#define WRITABLE 2
#define USER 4
#define ENTRIES 1024
#define FIRST_OF_KERNEL (KERNEL_BASE >> 22)

extern uint32_t kernel_space[ENTRIES];		/* boot.S */

/* The table or page that an entry names. */
static void *target(uint32_t entry)
{
	return memory_at(entry & ~(PAGE_SIZE - 1u));
}

static uint32_t entry_for(const void *frame)
{
	return physical_of(frame) | PRESENT | WRITABLE | USER;
}

uint32_t *space_create(void)
{
	uint32_t *space = frame_take();

	for (unsigned entry = FIRST_OF_KERNEL; entry < ENTRIES; entry++)
		space[entry] = kernel_space[entry];
	return space;
}

void space_switch(uint32_t *space)
{
	static uint32_t *current;

	if (space == current)
		return;
	current = space;
	write_cr3(physical_of(space ? space : kernel_space));
}

void space_destroy(uint32_t *space)
{
	space_switch(0);
	for (unsigned n = 0; n < FIRST_OF_KERNEL; n++) {
		uint32_t *table = target(space[n]);

		if (!(space[n] & PRESENT))
			continue;
		for (unsigned page = 0; page < ENTRIES; page++)
			if (table[page] & PRESENT)
				frame_give(target(table[page]));
		frame_give(table);
	}
	frame_give(space);
}

uint8_t *space_page(uint32_t *space, uint32_t address)
{
	uint32_t *table, *entry;

	if (!(space[address >> 22] & PRESENT))
		space[address >> 22] = entry_for(frame_take());
	table = target(space[address >> 22]);
	entry = &table[address / PAGE_SIZE % ENTRIES];
	if (!(*entry & PRESENT))
		*entry = entry_for(frame_take());
	return target(*entry);
}

int space_covers(uint32_t *space, uint32_t address, size_t size)
{
	uint32_t last = address + size - 1;

	if (address < USER_BASE || last < address || last >= USER_END)
		return 0;
	for (uint32_t page = address & ~(PAGE_SIZE - 1u); page <= last; page += PAGE_SIZE) {
		const uint32_t *table = target(space[page >> 22]);

		if (!(space[page >> 22] & PRESENT) || !(table[page / PAGE_SIZE % ENTRIES] & PRESENT))
			return 0;
	}
	return 1;
}
