/* Physical pages: free ones form a list through themselves, used ones count their users. */
#include "memory.h"

extern char kernel_end[];

struct free_page {
	struct free_page *next;
};

static struct free_page *free_pages;
static uint16_t users[DIRECT_MAP / PAGE_SIZE];

static uint16_t *users_of(const void *page)
{
	return &users[PHYSICAL(page) / PAGE_SIZE];
}

void pages_init(uint32_t end)
{
	for (uint32_t page = PAGE_ROUND_UP(PHYSICAL(kernel_end)); page + PAGE_SIZE <= end; page += PAGE_SIZE) {
		*users_of(VIRTUAL(page)) = 1;
		page_free(VIRTUAL(page));
	}
}

void *page_allocate(void)
{
	struct free_page *page = free_pages;

	if (!page)
		return NULL;
	free_pages = page->next;
	*users_of(page) = 1;
	return memset(page, 0, PAGE_SIZE);
}

void page_share(void *page)
{
	++*users_of(page);
}

void page_free(void *page)
{
	struct free_page *freed = page;

	if (--*users_of(page))
		return;
	freed->next = free_pages;
	free_pages = freed;
}

int page_is_shared(const void *page)
{
	return *users_of(page) > 1;
}
