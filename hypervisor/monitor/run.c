/* How far one fill of the virtual TLB reaches: around the page that was touched, and further and further
 * in the direction of a walk through memory. A mapping costs microseconds whatever its length, a page
 * in it 0.3. */
#include "monitor.h"

#define RUN_FIRST 16u
#define RUN_MAX 256u

/* Pages at which a walk up or down would go on, and its length so far. Private to a process. */
static uint32_t next_up, next_down, length = RUN_FIRST;

struct bounds {
	uint32_t first, end;
};

/* Where pages may lie: the walk's direction, or the aligned block around a first touch. */
static struct bounds choose(uint32_t page)
{
	bool up = page == next_up, down = page == next_down;

	length = !up && !down ? RUN_FIRST : length * 2 > RUN_MAX ? RUN_MAX : length * 2;
	if (up)
		return (struct bounds){ page, page + length };
	if (down)
		return (struct bounds){ page >= length ? page + 1 - length : 0, page + 1 };
	return (struct bounds){ page & ~(RUN_FIRST - 1), (page & ~(RUN_FIRST - 1)) + RUN_FIRST };
}

/* No further than the hole, the page table, the top of the host's 4 GiB, RAM, or the read-only part of it. */
static struct bounds clip(struct bounds b, uint32_t page, uint64_t physical)
{
	uint32_t frame = (uint32_t)(physical >> 12), rom = control.rom_base >> 12, rom_end = rom + (control.rom_size >> 12);
	const uint32_t top = (1u << 20) - (control.slide >> 12);
	uint32_t size = 1u << region_shift(), table = page & ~(size - 1), lowest = table, highest = table + size;

	if (page < HOLE >> 12 && highest > HOLE >> 12)
		highest = HOLE >> 12;
	else if (page > HOLE >> 12 && lowest < (HOLE + HOLE_SIZE) >> 12)
		lowest = (HOLE + HOLE_SIZE) >> 12;
	if (highest > top)
		highest = top;
	if (highest - page > pages_of_ram(physical))
		highest = page + pages_of_ram(physical);
	if (page - lowest > frame - (ram_begins(physical) >> 12))
		lowest = page - (frame - (ram_begins(physical) >> 12));
	if (control.rom_size && frame < rom && highest - page > rom - frame)
		highest = page + rom - frame;
	if (control.rom_size && frame >= rom_end && page - lowest > frame - rom_end)
		lowest = page - (frame - rom_end);
	return (struct bounds){ b.first > lowest ? b.first : lowest, b.end < highest ? b.end : highest };
}

/* Entry of `page` in its table goes on where `page - distance` is, with the same rights; where accessed and dirty
 * bits are exact, a page that has others cannot be mapped with it. */
static bool continues(uint32_t *table, uint32_t from, uint32_t page)
{
	const uint32_t mask = (1u << region_shift()) - 1;
	uint64_t expected = entry_of(table, from & mask) + (uint64_t)(int64_t)((int32_t)(page - from) * PAGE_SIZE);

	return !((entry_of(table, page & mask) ^ expected) & (exact_dirty() ? ~0ull : ~(uint64_t)PTE_AD));
}

/* The pages to map with `page`, which is `to`; only itself where `alone`. Notes them as mapped (vtlb_remember)
 * and marks them accessed, and dirty if they may be written. */
struct run run_choose(uint32_t page, const struct translation *to, bool alone)
{
	struct bounds b = clip(choose(page), page, to->physical);
	const uint32_t mask = (1u << region_shift()) - 1;
	uint32_t first = page, end = page + 1;
	uint32_t *table = paging_on() && !(to->rights & PTE_PS) ? table_of(to->pde) : NULL;

	while (!alone && end < b.end && !vtlb_is_mapped(end) && (!table || continues(table, page, end)))
		end++;
	while (!alone && first > b.first && !vtlb_is_mapped(first - 1) && (!table || continues(table, page, first - 1)))
		first--;
	for (uint32_t i = first; i < end; i++) {
		if (!table) {
			vtlb_remember(i, to->entry, to->pde);
			continue;
		}
		uint32_t *pte = entry_low(table, i & mask);

		if (i != page && !exact_dirty())
			*pte |= PTE_A | (*pte & to->pde & PTE_W ? PTE_D : 0);
		vtlb_remember(i, entry_of(pte, 0), to->pde);
	}
	next_up = end;
	next_down = first - 1;
	return (struct run){ first, end - first, to->physical - ((uint64_t)(page - first) << 12) };
}
