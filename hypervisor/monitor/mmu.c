/* The guest's own page tables (SDM vol. 3, 4.3: 32-bit paging), and what lies at a physical address. */
#include "monitor.h"

#define ENTRY_P 1u
#define ENTRY_W 2u
#define ENTRY_U 4u
#define ENTRY_A 0x20u
#define ENTRY_D 0x40u
#define ENTRY_PS 0x80u
#define FRAME 0xfffff000u
#define LARGE_FRAME 0xffc00000u

/* Pages of RAM from `physical` on; 0 where there is none. What a VGA decodes is a piece of its own. */
uint32_t pages_of_ram(uint32_t physical)
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

bool is_ram(uint32_t physical)
{
	return physical < control.ram_size && (!vga_owns(physical) || vga_is_plain(physical));
}

static bool refuse(uint32_t linear, uint32_t access, bool present)
{
	return raise_page_fault(linear, access | present);
}

/* Walk the guest's tables for `linear`. Sets accessed and dirty bits: dirty early, for each page that
 * may be written, because the host mapping will be writable from now on. False with a page fault
 * raised where the guest's tables do not allow the access. */
bool translate(uint32_t linear, uint32_t access, struct translation *out)
{
	if (!paging_on()) {
		*out = (struct translation){ linear & FRAME, ENTRY_P | ENTRY_W | ENTRY_U, 1 };
		return true;
	}
	uint32_t directory = (shared.cr3 & FRAME) + (linear >> 22) * 4;

	if (!is_ram(directory))
		return refuse(linear, access, false);
	uint32_t *pde = (uint32_t *)(ram + directory);

	if (!(*pde & ENTRY_P))
		return refuse(linear, access, false);
	bool large = (*pde & ENTRY_PS) && (shared.cr4 & CR4_PSE);
	uint32_t table = (*pde & FRAME) + ((linear >> 12) & 0x3ff) * 4;
	uint32_t *pte = large ? pde : (uint32_t *)(ram + table);

	if (!large && (!is_ram(table) || !(*pte & ENTRY_P)))
		return refuse(linear, access, false);
	uint32_t rights = large ? *pde : *pde & *pte;

	if ((access & ACCESS_USER) && !(rights & ENTRY_U))
		return refuse(linear, access, true);
	if ((access & ACCESS_WRITE) && !(rights & ENTRY_W) && ((access & ACCESS_USER) || (shared.cr0 & CR0_WP)))
		return refuse(linear, access, true);
	*pde |= ENTRY_A;
	*pte |= ENTRY_A | (rights & ENTRY_W || access & ACCESS_WRITE ? ENTRY_D : 0);
	out->pte = (rights & (ENTRY_P | ENTRY_W | ENTRY_U)) | (*pte & 0x100) | (large ? ENTRY_PS : 0);
	out->physical = large ? (*pde & LARGE_FRAME) | (linear & 0x3ff000) : *pte & FRAME;
	out->run = large ? 1024 - ((linear >> 12) & 0x3ff) : 1;
	return true;
}
