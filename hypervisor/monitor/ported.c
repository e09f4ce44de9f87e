/* Kernels that were ported as binaries: code in the hole, trampolines, stands for instructions that a jump was put
 * over. The guest never learns of that: where it is told an address, it is that of the original instruction, and where
 * it goes to one whose bytes are no more, it goes to what stands for it. */
#include "monitor.h"

struct pair {
	uint32_t key, value;
};

/* The value of `key` in a table by rising keys; 0 where it is not there. */
static uint32_t find(uint64_t table, uint32_t count, uint32_t key)
{
	const struct pair *pairs = (const struct pair *)(state + table);
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (pairs[middle].key == key)
			return pairs[middle].value;
		if (pairs[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

static bool in_kernel(void) { return vcpu.cpl < 3 && !control.patches_out; }

/* Jumps to the hole miss it where the code segment has a base, which kernels that are linked high use before they have
 * page tables. There the kernel runs as it was, with traps in place of what would run silently wrong. */
void patches_follow_code_segment(void)
{
	const uint8_t *at = state + PATCHES_OFFSET;
	bool out = vcpu.cs.base != 0;

	if (!control.patches_size || vcpu.cpl == 3 || out == (control.patches_out != 0))
		return;
	const uint8_t *end = at + (control.patches_size < PATCHES_SIZE ? control.patches_size : PATCHES_SIZE);

	control.patches_out = out;
	while (end - at >= 8) {
		uint32_t physical = ((const uint32_t *)at)[0], size = ((const uint32_t *)at)[1];

		at += 8;
		if (size > (uint64_t)(end - at) / 2 || !is_ram(physical) || !is_ram(physical + size))
			return;
		memcpy(ram + physical, at + (out ? 0 : size), size);
		at += (2 * size + 3) & ~3u;
	}
}

/* The address that the guest knows the instruction at `eip` by. */
uint32_t original_eip(uint32_t eip)
{
	const uint32_t most = PLACES_SIZE / sizeof(struct pair);
	uint32_t offset = eip - HOLE - TRAMPOLINES_OFFSET, count = control.places;

	if (offset >= TRAMPOLINES_SIZE || !in_kernel())
		return eip;
	uint32_t original = find(PLACES_OFFSET, count < most ? count : most, offset);

	return original ? original : eip;
}

/* Where the instruction that the guest knows by `eip`, in the present code segment, is to be run. */
uint32_t trampoline_eip(uint32_t eip)
{
	const uint32_t most = INSIDE_SIZE / sizeof(struct pair);
	uint32_t count = control.inside;

	if (!count || !in_kernel())
		return eip;
	uint32_t place = find(INSIDE_OFFSET, count < most ? count : most, eip);

	return place ? place : eip;
}
