/* The virtual TLB: host mappings below 4 GiB as a cache of the guest's page tables.
 *
 * Like a TLB it may hold what the tables no longer say until the guest flushes it (CR3, invlpg), and
 * may lose entries at any time. Unlike a TLB it is worth keeping over a CR3 load, because a refill costs
 * microseconds: so a CR3 load does not empty it but compares each cached entry with the tables
 * (vtlb_validate). All state here is private to one address-space process. */
#include "monitor.h"
#include "sys.h"

#define PAGES (1u << 20)
#define REGIONS 2048u /* one per page directory entry: half of them used, or all (PAE) */
#define PDE_COMPARED (PTE_P | PTE_W | PTE_U | PTE_PS | PTE_NX)
#define COMPARED_ALL (~0ull)
#define LOW_SUPERVISOR_MAX 512u

/* Guest PTE that a page was mapped by. Whole groups of them are compared (compare.c). */
static union {
	uint32_t narrow[PAGES];
	uint64_t wide[PAGES]; /* PAE; else the upper half is never touched */
} entries __attribute__((aligned(64)));
static uint64_t mapped[PAGES / GROUP];
static uint16_t region_count[REGIONS];
static uint64_t region_used[REGIONS / 64]; /* where to look; may name regions that are empty again */
static uint64_t region_pde[REGIONS];
static bool region_global[REGIONS];

/* Pages of a region as a power of two, since the last flush. */
static uint32_t shift = 10;

static uint32_t words_of_region(void) { return 1u << shift >> 6; }

static uint32_t validated_cr3; /* whose user half the entries below the user limit are */

/* Pages below the user limit that user code must not reach: dropped on return to ring 3. */
static uint32_t low_supervisor[LOW_SUPERVISOR_MAX];
static uint32_t low_count;

bool vtlb_is_mapped(uint32_t page) { return mapped[page / 64] >> (page % 64) & 1; }

static uint32_t host_page(uint32_t page) { return (page + (control.slide >> 12)) & (PAGES - 1); }

/* Splitting a mapping takes one more, which the host may refuse; then everything goes (evict_if_full). */
static bool host_is_full;

static void unmap(uint64_t start, uint64_t end)
{
	if (sys_munmap(start, end - start) < 0)
		host_is_full = true;
}

/* The part of [page, page + count) that ring3 itself occupies is never unmapped. */
static void unmap_host(uint32_t page, uint32_t count)
{
	uint64_t start = (uint64_t)host_page(page) << 12, end = start + ((uint64_t)count << 12);
	const uint64_t hole = (uint64_t)HOLE + control.slide, hole_end = hole + HOLE_SIZE;

	if (end > 1ull << 32) /* only the topmost 64 KiB can wrap, and they are never mapped */
		end = 1ull << 32;
	if (start < hole)
		unmap(start, end < hole ? end : hole);
	if (end > hole_end)
		unmap(start > hole_end ? start : hole_end, end);
}

static void forget(uint32_t page)
{
	mapped[page / 64] &= ~(1ull << (page % 64));
	region_count[page >> shift]--;
	control.tlb_drops++;
}

void vtlb_flush(void)
{
	for (uint32_t region = 0; region < REGIONS; region++) {
		if (!region_count[region])
			continue;
		control.tlb_drops += region_count[region];
		region_count[region] = 0;
		memset(&mapped[region * words_of_region()], 0, words_of_region() * sizeof(mapped[0]));
	}
	shift = region_shift();
	low_count = 0;
	host_is_full = false;
	unmap_host(0, HOLE >> 12);
	unmap_host((HOLE + HOLE_SIZE) >> 12, PAGES - ((HOLE + HOLE_SIZE) >> 12) - (control.slide >> 12));
	if (host_is_full)
		fatal(ERROR_MEMORY, ENOMEM);
}

static void evict_if_full(void)
{
	if (!host_is_full)
		return;
	control.tlb_evictions++;
	vtlb_flush();
}

void vtlb_drop(uint32_t linear)
{
	uint32_t page = linear >> 12, region = page >> shift, count = 1;

	if (region_count[region] && is_large(region_pde[region])) {
		page = region << shift;
		count = 1u << shift;
	}
	uint32_t dropped = 0;

	for (uint32_t i = page; i < page + count; i++)
		if (vtlb_is_mapped(i)) {
			forget(i);
			dropped++;
		}
	if (dropped)
		unmap_host(page, count);
	evict_if_full();
	machine.global_generation++;
	machine.pool[self].global_generation = machine.global_generation;
}

/* Pages to drop, gathered so that one munmap covers all up to the next page that stays. */
static uint32_t drop_first, drop_end;

static void drop_now(void)
{
	if (drop_end > drop_first)
		unmap_host(drop_first, drop_end - drop_first);
	drop_first = drop_end = 0;
}

static void drop_later(uint32_t page)
{
	forget(page);
	if (drop_end == drop_first)
		drop_first = page;
	drop_end = page + 1;
}

static void drop_region(uint32_t region)
{
	for (uint32_t word = region * words_of_region(); word < (region + 1) * words_of_region(); word++)
		for (uint64_t bits = mapped[word]; bits; bits &= bits - 1)
			drop_later(word * 64 + (uint32_t)__builtin_ctzll(bits));
}

static void set_entry(uint32_t page, uint64_t value)
{
	if (machine.wide)
		entries.wide[page] = value;
	else
		entries.narrow[page] = (uint32_t)value;
}

/* Drop what has changed in a group of 64 entries. Those that are not mapped take the table's values, so that
 * the whole group agrees the next time. */
static void validate_word(uint32_t *table, uint32_t word, uint64_t compared)
{
	const uint32_t mask = (1u << shift) - 1;

	compare_again(word);
	for (uint32_t page = word * GROUP; page < word * GROUP + GROUP; page++) {
		uint64_t now = entry_of(table, page & mask);

		if (!vtlb_is_mapped(page))
			set_entry(page, now);
		else if ((now ^ (machine.wide ? entries.wide[page] : entries.narrow[page])) & compared)
			drop_later(page);
		else
			drop_now();
	}
}

/* The first region from `region` on that has something mapped; REGIONS: none. */
static uint32_t next_used(uint32_t region)
{
	for (; region < REGIONS; region = (region | 63) + 1) {
		uint64_t *used = &region_used[region / 64], bits;

		while ((bits = *used >> (region % 64))) {
			uint32_t found = region + (uint32_t)__builtin_ctzll(bits);

			if (region_count[found])
				return found;
			*used &= ~(1ull << (found % 64));
		}
	}
	return REGIONS;
}

/* How many of `count` groups from `word` on does the table, which begins at group `start`, still say? */
static uint32_t unchanged(const uint32_t *table, uint32_t start, uint32_t word, uint32_t count, uint64_t compared)
{
	if (machine.wide)
		return wide_groups_unchanged((const uint64_t *)table + (word - start) * GROUP,
					     entries.wide + word * GROUP, count, compared);
	return groups_unchanged(table - start * GROUP, entries.narrow, word, count, (uint32_t)compared);
}

static void validate_region(uint32_t region, uint32_t *table, uint64_t compared)
{
	const uint32_t start = region * words_of_region(), end = start + words_of_region();

	for (uint32_t word = start; word < end; word++) {
		uint32_t span = 0, same;

		while (word + span < end && mapped[word + span])
			span++;
		if (!span)
			continue;
		same = unchanged(table, start, word, span, compared);
		if (same)
			drop_now();
		word += same;
		if (same < span)
			validate_word(table, word, compared);
	}
}

/* Drop whatever the tables at CR3 no longer say. `globals`: global pages too. The user half stays while
 * a kernel-only directory is loaded (a kernel switches there and back at each change of process) and is
 * compared when a directory with a user half comes. Accessed and dirty bits count for user pages, against
 * the tables that the entries came from: kernels take those bits back to find out which pages are used,
 * and do so with user pages only, whereas fresh tables for the same kernel half have them clear. Where they are
 * to be exact, they always count. */
void vtlb_validate(bool globals)
{
	if (shift != region_shift()) /* a new process is as its zygote was */
		vtlb_flush();
	if (!paging_on())
		return;
	bool keep_global = !globals && (shared.cr4 & CR4_PGE) &&
			   machine.pool[self].global_generation == machine.global_generation;

	uint32_t kernel = machine.user_limit >> 12 >> shift, first = user_limit_kernel_only() ? kernel : 0;

	const uint64_t pde_compared = PDE_COMPARED | (exact_dirty() ? PTE_A : 0);

	drop_first = drop_end = 0;
	compare_begin();
	for (uint32_t region = next_used(first); region < REGIONS; region = next_used(region + 1)) {
		bool used = exact_dirty() || (region < kernel && validated_cr3 == shared.cr3);
		uint64_t compared = used ? COMPARED_ALL : ~(uint64_t)PTE_AD;

		if (keep_global && region_global[region]) {
			drop_now();
			continue;
		}
		uint64_t pde = directory_entry(region), old = region_pde[region];
		bool large = is_large(old);
		uint32_t *table = table_of(pde);

		if ((pde ^ old) & (large ? compared : pde_compared) || (!large && !table)) {
			drop_region(region);
			continue;
		}
		if (large) {
			drop_now();
			continue;
		}
		region_pde[region] = pde;
		validate_region(region, table, compared);
	}
	drop_now();
	if (!first)
		validated_cr3 = shared.cr3;
	machine.pool[self].global_generation = machine.global_generation;
}

/* False where the host has no mapping left (vm.max_map_count). */
static bool map_pages(const struct run *run, int protection)
{
	uint64_t address = (uint64_t)host_page(run->first) << 12;
	int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
	int64_t result = sys_mmap(address, (uint64_t)run->count << 12, protection, flags, RAM_FD, run->physical);

	if (result < 0 && result != -ENOMEM)
		fatal(ERROR_MEMORY, (uint64_t)-result);
	return result >= 0;
}

/* Note that `page` is mapped by guest entry `pte` under directory entry `pde`. */
void vtlb_remember(uint32_t page, uint64_t pte, uint64_t pde)
{
	uint32_t region = page >> shift;

	set_entry(page, pte);
	compare_again(page / GROUP);
	if (!vtlb_is_mapped(page)) {
		mapped[page / 64] |= 1ull << (page % 64);
		if (region_count[region]++ == 0) {
			region_global[region] = true;
			region_used[region / 64] |= 1ull << (region % 64);
		}
	}
	region_pde[region] = pde;
	region_global[region] &= (pte & PTE_G) != 0;
}

static bool in_hole(uint32_t linear) { return linear - HOLE < HOLE_SIZE; }

static bool map_device_image(uint32_t linear, uint64_t physical)
{
	uint64_t address = (uint64_t)host_page(linear >> 12) << 12;

	if (physical != (vcpu.apic_base & ~(uint64_t)PAGE_MASK) || !lapic_page_readable())
		return false;
	return sys_mmap(address, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, STATE_FD, LAPIC_PAGE_OFFSET) >= 0;
}

static enum fill_result fill(uint32_t linear, uint32_t access)
{
	struct translation to;
	uint32_t page = linear >> 12;

	if (in_hole(linear))
		return FILL_DEVICE;
	if (!translate(linear, access, &to))
		return FILL_FAULT;
	if (host_page(page) < control.slide >> 12)
		return FILL_DEVICE; /* wrapped into what the host does not let us map */
	bool rom = to.physical - control.rom_base < control.rom_size;
	/* Dirty, where that is to be exact, by a write that faults. */
	bool writable = to.rights & PTE_W && !rom && to.dirty, forced = !(to.rights & PTE_W) && access & ACCESS_WRITE;

	if (!is_ram(to.physical) || (rom && access & ACCESS_WRITE)) {
		if (!(access & ACCESS_WRITE) && map_device_image(linear, to.physical)) {
			vtlb_remember(page, to.entry, to.pde);
			return FILL_MAPPED;
		}
		return FILL_DEVICE;
	}
	const int withheld = debug_withheld(page);
	const int needed = PROT_READ | (access & ACCESS_FETCH ? PROT_EXEC : 0) | (access & ACCESS_WRITE ? PROT_WRITE : 0);

	if (withheld & needed)
		return FILL_WATCHED;
	struct run run = run_choose(page, &to, rom || forced || machine.watching);
	uint64_t start = tracing(TRACE_TLB_FILL) ? read_tsc() : 0;

	int protection = PROT_READ | (writable || forced ? PROT_WRITE : 0) | (to.executable ? PROT_EXEC : 0);

	if (!map_pages(&run, protection & ~withheld))
		return FILL_FULL;
	if (machine.opened)
		debug_opened(page);
	control.tlb_fills++;
	control.tlb_pages += run.count;
	if (start)
		trace_span(TRACE_TLB_FILL, access, start, (uint32_t[5]){ linear, (uint32_t)to.physical, run.count,
					(uint32_t)to.entry, (uint32_t)to.pde });
	/* What user code must not reach although its segments do, or may only read. */
	if ((linear < machine.user_limit || !machine.user_limit) && (forced || !(to.rights & PTE_U)) && paging_on()) {
		if (low_count + run.count > LOW_SUPERVISOR_MAX)
			low_count = LOW_SUPERVISOR_MAX + 1;
		else
			for (uint32_t i = 0; i < run.count; i++)
				low_supervisor[low_count++] = run.first + i;
	}
	return FILL_MAPPED;
}

/* Map the page of guest-linear address `linear` and what follows it. FILL_FAULT: a page fault of the
 * guest is raised; FILL_DEVICE: the access must be emulated. */
enum fill_result vtlb_fill(uint32_t linear, uint32_t access)
{
	enum fill_result result = fill(linear, access);

	if (result != FILL_FULL)
		return result;
	/* Forget everything, what `fill` has just noted too, and begin again. */
	host_is_full = true;
	evict_if_full();
	result = fill(linear, access);
	if (result == FILL_FULL)
		fatal(ERROR_MEMORY, ENOMEM);
	return result;
}

/* Is nothing mapped that ring 3 must not reach? */
bool vtlb_user_is_clean(void)
{
	return !low_count;
}

/* Ring 3 begins: unmap the supervisor pages that its segments could reach. */
void vtlb_enter_user(void)
{
	if (!low_count)
		return;
	if (low_count > LOW_SUPERVISOR_MAX) {
		control.low_unmaps += low_count;
		vtlb_flush();
		return;
	}
	drop_first = drop_end = 0;
	for (uint32_t i = 0; i < low_count; i++) {
		uint32_t page = low_supervisor[i];

		if (!vtlb_is_mapped(page))
			continue;
		if (drop_end != page)
			drop_now();
		drop_later(page);
		control.low_unmaps++;
	}
	drop_now();
	evict_if_full();
	low_count = 0;
}
