/* Kernels that were ported as binaries: code in the hole, trampolines, stands for instructions that a jump was put
 * over. The guest never learns of that: where it is told an address, it is that of the original instruction, and where
 * it goes to one whose bytes are no more, it goes to what stands for it. */
#include "monitor.h"

/* The value of `key` in a table of pairs in the state file, by rising keys; 0 where it is not there. `count` is the
 * guest's word, `size` what the table may have. */
uint32_t pair_find(uint64_t table, uint32_t size, uint32_t count, uint64_t key)
{
	const struct {
		uint32_t key, value;
	} *pairs = (const void *)(state + table);
	uint32_t low = 0, high = count < size / sizeof(*pairs) ? count : (uint32_t)(size / sizeof(*pairs));

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

/* Before paging, code is where it was loaded, with it where it is linked; what runs in both goes back from its
 * trampolines to where it is then. Where paging is on already, and the kernel not yet at its link address, it is
 * mapped there as well, so that it goes on there all the same. */
void cells_follow_paging(void)
{
	const uint32_t *offset = (const uint32_t *)(state + CELLS_OFFSET);
	uint64_t count = control.cells < CELLS_SIZE / 4 ? control.cells : CELLS_SIZE / 4;
	uint32_t linked = paging_on() ? 2 : 1;

	for (uint64_t i = 0; i < count; i++)
		if (offset[i] <= TRAMPOLINES_SIZE - CELL_SIZE) {
			uint8_t *cell = state + TRAMPOLINES_FILE_OFFSET + offset[i];

			memcpy(cell, cell + 4 * linked, 4);
		}
}

/* The address that the guest knows the instruction at `eip` by. */
uint32_t original_eip(uint32_t eip)
{
	uint32_t offset = eip - HOLE - TRAMPOLINES_OFFSET;

	if (offset >= TRAMPOLINES_SIZE || !in_kernel())
		return eip;
	uint32_t original = pair_find(PLACES_OFFSET, PLACES_SIZE, control.places, offset);

	return original ? original : eip;
}

bool in_trampolines(uint32_t eip) { return eip - HOLE - TRAMPOLINES_OFFSET < TRAMPOLINES_SIZE; }

static bool take_jump(void)
{
	struct fault keep = machine.fault;
	struct instruction in;
	uint32_t from = vcpu.eip, at = from, to;
	bool found = decode(at, &in) && in.opcode_map == 0;

	if (found && in.opcode == 0xeb && in.length == 2) { /* to an island */
		at += 2 + (uint32_t)(int8_t)in.immediate;
		found = decode(at, &in) && in.opcode_map == 0;
	}
	to = at + 5 + in.immediate;
	if (found && in.opcode == 0xff && in.modrm == 0x25 && in.segment == SEG_CS && in_trampolines(in.rm.offset))
		found = guest_read(in.rm.offset, &to, 4, 0);
	else
		found = found && in.opcode == 0xe9 && in.length == 5;

	machine.fault = keep;
	if (!found || in_trampolines(from) == in_trampolines(to) || original_eip(from) != original_eip(to))
		return false;
	vcpu.eip = to;
	return true;
}

/* The jumps into trampolines and out of them are no instructions of the guest: where one more of its own is to run, as
 * behind sti, they have been taken. */
void take_trampoline_jumps(void)
{
	if (control.places && in_kernel() && take_jump())
		take_jump(); /* out of one, into the next */
}

/* Where the instruction that the guest knows by `eip`, in the present code segment, is to be run. */
uint32_t trampoline_eip(uint32_t eip)
{
	if (!control.inside || !in_kernel())
		return eip;
	uint32_t place = pair_find(INSIDE_OFFSET, INSIDE_SIZE, control.inside, eip);

	return place ? place : eip;
}
