/* Address spaces. Heaps and stacks get their pages when they are first touched; after a fork, parent and child share
 * all pages until one of them writes. */
#include "memory.h"

#include "errors.h"
#include "process.h"

#define ENTRIES 1024u
#define ADDRESS_OF(entry) VIRTUAL((entry) & ~(PAGE_SIZE - 1u))

static void flush_page(uint32_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void space_activate(const uint32_t *directory)
{
	__asm__ volatile("movl %0, %%cr3" : : "r"(PHYSICAL(directory)) : "memory");
}

int space_create(struct space *space)
{
	space->directory = page_allocate();
	space->heap_start = space->heap_end = 0;
	if (space->directory)
		memcpy(space->directory + KERNEL_BASE / (ENTRIES * PAGE_SIZE),
		       kernel_directory + KERNEL_BASE / (ENTRIES * PAGE_SIZE), DIRECT_MAP / (ENTRIES * PAGE_SIZE) * 4);
	return space->directory != NULL;
}

/* The page table entry for `address`; NULL where there is no table, and none could be made. */
static uint32_t *entry_of(const struct space *space, uint32_t address, int create)
{
	uint32_t *slot = &space->directory[address / (ENTRIES * PAGE_SIZE)];

	if (!*slot && create) {
		void *table = page_allocate();

		if (table)
			*slot = PHYSICAL(table) | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
	}
	return *slot ? (uint32_t *)ADDRESS_OF(*slot) + address / PAGE_SIZE % ENTRIES : NULL;
}

/* The next address, from `address` on, whose page is there; USER_TOP if there is none. */
static uint32_t next_page(const struct space *space, uint32_t address)
{
	while (address < USER_TOP) {
		uint32_t *entry = entry_of(space, address, 0);

		if (!entry)
			address = (address / (ENTRIES * PAGE_SIZE) + 1) * ENTRIES * PAGE_SIZE;
		else if (*entry)
			return address;
		else
			address += PAGE_SIZE;
	}
	return USER_TOP;
}

void *space_page(struct space *space, uint32_t address, int writable)
{
	uint32_t *entry = entry_of(space, address, 1);

	if (!entry)
		return NULL;
	if (!*entry) {
		void *page = page_allocate();

		if (!page)
			return NULL;
		*entry = PHYSICAL(page) | PAGE_PRESENT | PAGE_USER;
	}
	if (writable)
		*entry |= PAGE_WRITABLE;
	return ADDRESS_OF(*entry);
}

int space_copy(struct space *space, struct space *from)
{
	if (!space_create(space))
		return 0;
	for (uint32_t at = next_page(from, 0); at < USER_TOP; at = next_page(from, at + PAGE_SIZE)) {
		uint32_t *old = entry_of(from, at, 0), *new = entry_of(space, at, 1);

		if (!new) {
			space_free(space);
			return 0;
		}
		if (*old & PAGE_WRITABLE)
			*old = (*old & ~PAGE_WRITABLE) | PAGE_COPY;
		*new = *old;
		page_share(ADDRESS_OF(*old));
	}
	space_activate(from->directory);	/* the processor may remember writable pages */
	space->heap_start = from->heap_start;
	space->heap_end = from->heap_end;
	return 1;
}

void space_drop(struct space *space, uint32_t start, uint32_t end)
{
	for (uint32_t at = next_page(space, start); at < end; at = next_page(space, at + PAGE_SIZE)) {
		uint32_t *entry = entry_of(space, at, 0);

		page_free(ADDRESS_OF(*entry));
		*entry = 0;
	}
}

void space_free(struct space *space)
{
	space_drop(space, 0, USER_TOP);
	for (uint32_t slot = 0; slot < USER_TOP / (ENTRIES * PAGE_SIZE); slot++)
		if (space->directory[slot])
			page_free(ADDRESS_OF(space->directory[slot]));
	page_free(space->directory);
	space->directory = NULL;
}

unsigned space_pages(const struct space *space)
{
	unsigned pages = 0;

	for (uint32_t at = next_page(space, 0); at < USER_TOP; at = next_page(space, at + PAGE_SIZE))
		pages++;
	return pages;
}

/* A shared page is written to: give the process one of its own. */
static int copy_page(uint32_t *entry, uint32_t address)
{
	void *shared = ADDRESS_OF(*entry), *own = shared;

	if (page_is_shared(shared)) {
		own = page_allocate();
		if (!own)
			return 0;
		memcpy(own, shared, PAGE_SIZE);
		page_free(shared);
	}
	*entry = PHYSICAL(own) | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
	flush_page(address);
	return 1;
}

int space_fault(struct space *space, uint32_t address, int write)
{
	uint32_t *entry;

	if (address >= USER_TOP)
		return 0;
	entry = entry_of(space, address, 0);
	if (entry && *entry)
		return write && *entry & PAGE_COPY && copy_page(entry, address);
	if ((address >= space->heap_start && address < space->heap_end) || address >= USER_TOP - STACK_MAX)
		return space_page(space, address, 1) != NULL;
	return 0;
}

int user_check(uint32_t address, uint32_t length, int write)
{
	if (address >= USER_TOP || length > USER_TOP - address)
		return -EFAULT;
	for (uint32_t at = address & ~(PAGE_SIZE - 1u); at < address + length; at += PAGE_SIZE) {
		uint32_t *entry = entry_of(&current->space, at, 0);

		if (!(entry && *entry && (!write || *entry & PAGE_WRITABLE)) && !space_fault(&current->space, at, write))
			return -EFAULT;
	}
	return 0;
}

int user_string(char *to, uint32_t address, uint32_t room, int too_long)
{
	for (uint32_t length = 0; length < room; length++) {
		if ((length == 0 || (address + length) % PAGE_SIZE == 0) && user_check(address + length, 1, 0))
			return -EFAULT;
		to[length] = *(const char *)(address + length);
		if (!to[length])
			return (int)length + 1;
	}
	return too_long;
}
