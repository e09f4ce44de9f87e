#include "paging.h"
#include "cpu.h"
#include "interface.h"
#include "pc.h"

#define PRESENT 1
#define WRITABLE 2
#define USER 4
#define ENTRIES 1024
#define KERNEL_TABLES (KERNEL_END >> 22)

static uint32_t kernel_space[ENTRIES] __attribute__((aligned(4096)));
static uint32_t kernel_tables[KERNEL_TABLES][ENTRIES] __attribute__((aligned(4096)));

static uint32_t *table_of(uint32_t entry)
{
	return (uint32_t *)(entry & ~(PAGE_SIZE - 1));
}

static void add_kernel(uint32_t *space)
{
	for (unsigned table = 0; table < KERNEL_TABLES; table++)
		space[table] = (uint32_t)kernel_tables[table] | PRESENT | WRITABLE;
}

void paging_init(void)
{
	for (uint32_t page = 1; page < KERNEL_END / PAGE_SIZE; page++)	/* none at 0, for mistakes */
		kernel_tables[page / ENTRIES][page % ENTRIES] = page * PAGE_SIZE | PRESENT | WRITABLE;
	add_kernel(kernel_space);
	write_cr3((uint32_t)kernel_space);
	paging_on();
}

uint32_t *space_create(void)
{
	uint32_t *space = frame_take();

	add_kernel(space);
	return space;
}

void space_switch(uint32_t *space)
{
	static uint32_t *current;

	if (space == current)
		return;
	current = space;
	write_cr3((uint32_t)(space ? space : kernel_space));
}

void space_destroy(uint32_t *space)
{
	space_switch(0);
	for (unsigned table = KERNEL_TABLES; table < ENTRIES; table++) {
		if (!(space[table] & PRESENT))
			continue;
		for (unsigned page = 0; page < ENTRIES; page++)
			if (table_of(space[table])[page] & PRESENT)
				frame_give(table_of(table_of(space[table])[page]));
		frame_give(table_of(space[table]));
	}
	frame_give(space);
}

uint8_t *space_page(uint32_t *space, uint32_t address)
{
	uint32_t *directory_entry = &space[address >> 22], *entry;

	if (!(*directory_entry & PRESENT))
		*directory_entry = (uint32_t)frame_take() | PRESENT | WRITABLE | USER;
	entry = &table_of(*directory_entry)[address / PAGE_SIZE % ENTRIES];
	if (!(*entry & PRESENT))
		*entry = (uint32_t)frame_take() | PRESENT | WRITABLE | USER;
	return (uint8_t *)table_of(*entry);
}

int space_covers(uint32_t *space, uint32_t address, size_t size)
{
	uint32_t last = address + size - 1;

	if (address < USER_BASE || last < address || last >= USER_END)
		return 0;
	for (uint32_t page = address & ~(PAGE_SIZE - 1); page <= last; page += PAGE_SIZE) {
		uint32_t entry = space[page >> 22];

		if (!(entry & PRESENT) || !(table_of(entry)[page / PAGE_SIZE % ENTRIES] & PRESENT))
			return 0;
	}
	return 1;
}
