/* The guest's own page tables (SDM vol. 3, 4.3: 32-bit paging, 4.4: PAE paging), and what lies at a physical
 * address. */
#include "monitor.h"

#define PHYSICAL_BITS 36u /* MAXPHYADDR, where CPUID does not tell another (SDM vol. 3, 4.1.4) */
#define RESERVED_HIGH (~0ull << PHYSICAL_BITS & ~PTE_NX)
#define PDPTE_RESERVED (~0ull << PHYSICAL_BITS | 0x1e6u)
#define LARGE_RESERVED 0x3fe000u      /* of a 4 MiB page, without PSE-36 */
#define LARGE_RESERVED_WIDE 0x1fe000u /* of a 2 MiB page */
#define LARGE_FRAME 0xffc00000u
#define LARGE_FRAME_WIDE (PTE_FRAME & ~0x1fffffull)
#define ERROR_PRESENT 1u
#define ERROR_RESERVED 8u

/* Pages of RAM from `physical` on; 0 where there is none. What a VGA decodes is a piece of its own. */
uint32_t pages_of_ram(uint64_t physical)
{
	if (!is_ram(physical))
		return 0;
	uint64_t end = physical < VGA_MEMORY ? VGA_MEMORY : vga_owns(physical) ? vga_window_end() : control.ram_size;

	return (uint32_t)((end - physical) >> 12);
}

/* The lowest address from which RAM reaches `physical`. */
uint32_t ram_begins(uint64_t physical)
{
	return physical < VGA_MEMORY ? 0 : vga_owns(physical) ? control.vga.window : VGA_MEMORY + VGA_MEMORY_SIZE;
}

bool is_ram(uint64_t physical)
{
	return physical < control.ram_size && (!vga_owns(physical) || vga_is_plain(physical));
}

static bool no_execute(void) { return machine.wide && vcpu.efer & EFER_NXE; }

static bool refuse(uint32_t linear, uint32_t access, uint32_t why)
{
	/* Only with NX do errors tell fetches from reads. */
	return raise_page_fault(linear, (no_execute() ? access : access & ~(uint32_t)ACCESS_FETCH) | why);
}

/* PAE paging: a load of CR3 reads the four entries of the directory-pointer table, once. False, with #GP raised
 * and nothing loaded, where one has reserved bits set (SDM vol. 3, 4.4.1). */
bool load_pdptes(uint32_t cr3)
{
	uint32_t table = cr3 & ~31u;
	uint64_t entries[4] = { 0, 0, 0, 0 };

	if (is_ram(table))
		memcpy(entries, ram + table, sizeof(entries));
	for (uint32_t i = 0; i < 4; i++)
		if (entries[i] & PTE_P && entries[i] & PDPTE_RESERVED)
			return raise_fault(VECTOR_GP, 0);
	memcpy(vcpu.pdpte, entries, sizeof(entries));
	return true;
}

/* Where the directory entry of `region` lies; NULL where the tables do not lead to one in RAM. */
static uint32_t *directory_slot(uint32_t region)
{
	uint64_t slot = (shared.cr3 & PTE_FRAME) + region * 4;

	if (machine.wide) {
		uint64_t pdpte = vcpu.pdpte[region >> 9 & 3];

		if (!(pdpte & PTE_P))
			return NULL;
		slot = (pdpte & PTE_FRAME) + (region & 511) * 8;
	}
	return is_ram(slot) ? (uint32_t *)(ram + slot) : NULL;
}

/* The directory entry of `region`; 0 where there is none. */
uint64_t directory_entry(uint32_t region)
{
	uint32_t *slot = directory_slot(region);

	return slot ? entry_of(slot, 0) : 0;
}

bool is_large(uint64_t pde)
{
	return pde & PTE_PS && (machine.wide || shared.cr4 & CR4_PSE);
}

/* The page table that `pde` names; NULL where that is not in RAM. */
uint32_t *table_of(uint64_t pde)
{
	return is_ram(pde & PTE_FRAME) ? (uint32_t *)(ram + (pde & PTE_FRAME)) : NULL;
}

/* Reserved bits of a present entry; those of large pages come on top. */
static bool has_reserved(uint64_t entry, bool large)
{
	if (!machine.wide)
		return large && entry & LARGE_RESERVED;
	return entry & (RESERVED_HIGH | (no_execute() ? 0 : PTE_NX) | (large ? LARGE_RESERVED_WIDE : 0));
}

static void describe(uint32_t linear, bool large, struct translation *out)
{
	const uint64_t frame = !large ? PTE_FRAME : machine.wide ? LARGE_FRAME_WIDE : LARGE_FRAME;

	out->rights = (uint32_t)(out->pde & out->entry) & (PTE_P | PTE_W | PTE_U);
	out->rights |= large ? PTE_PS : 0;
	out->executable = !((out->pde | out->entry) & PTE_NX);
	out->dirty = out->entry & PTE_D;
	out->physical = (out->entry & frame) | (linear & ~frame & ~(uint64_t)PAGE_MASK);
}

/* Walk the guest's tables for `linear`. Sets accessed and dirty bits: dirty early, for each page that
 * may be written, because the host mapping will be writable from now on, unless the guest is to see them
 * exactly. False with a page fault raised where the guest's tables do not allow the access. */
bool translate(uint32_t linear, uint32_t access, struct translation *out)
{
	const uint32_t shift = region_shift(), page = linear >> 12;

	if (!paging_on()) {
		*out = (struct translation){ linear & ~PAGE_MASK, PTE_P | PTE_W | PTE_U, true, true, 0, 0 };
		return true;
	}
	uint32_t *pde = directory_slot(page >> shift);

	if (!pde || !(*pde & PTE_P))
		return refuse(linear, access, 0);
	out->pde = entry_of(pde, 0);
	bool large = is_large(out->pde);

	if (has_reserved(out->pde, large))
		return refuse(linear, access, ERROR_PRESENT | ERROR_RESERVED);
	uint32_t *pte = large ? pde : table_of(out->pde);

	if (pte && !large)
		pte = entry_low(pte, page & ((1u << shift) - 1));
	if (!pte || !(*pte & PTE_P))
		return refuse(linear, access, 0);
	out->entry = entry_of(pte, 0);
	if (!large && has_reserved(out->entry, false))
		return refuse(linear, access, ERROR_PRESENT | ERROR_RESERVED);
	uint32_t rights = (uint32_t)(out->pde & out->entry);

	if ((access & ACCESS_USER && !(rights & PTE_U)) ||
	    (access & ACCESS_WRITE && !(rights & PTE_W) && (access & ACCESS_USER || shared.cr0 & CR0_WP)) ||
	    (access & ACCESS_FETCH && (out->pde | out->entry) & PTE_NX))
		return refuse(linear, access, ERROR_PRESENT);
	bool written = access & ACCESS_WRITE || (rights & PTE_W && !exact_dirty());

	*pde |= PTE_A;
	*pte |= PTE_A | (written ? PTE_D : 0);
	out->pde = entry_of(pde, 0);
	out->entry = entry_of(pte, 0);
	describe(linear, large, out);
	return true;
}
