/* Guest memory by guest-linear address, for the monitor's own accesses (stacks, descriptors, strings).
 *
 * Supervisor accesses go through the host mapping where there is one; everything else walks the
 * guest's tables, so that a refusal is the guest's page fault and never the monitor's. */
#include "monitor.h"

static uint32_t page_rest(uint32_t linear, uint32_t size)
{
	uint32_t rest = PAGE_SIZE - (linear & PAGE_MASK);

	return size < rest ? size : rest;
}

static bool in_hole(uint32_t linear) { return linear - HOLE < HOLE_SIZE; }

/* Device memory by bytes: nobody keeps page tables or stacks there on purpose. */
static bool device_copy(uint32_t linear, uint8_t *bytes, uint32_t size, bool write)
{
	for (uint32_t i = 0; i < size; i++) {
		uint32_t value = bytes[i];

		if (write ? !memory_write(linear + i, 1, value) : !memory_read(linear + i, 1, &value))
			return false;
		bytes[i] = (uint8_t)value;
	}
	return true;
}

/* What the guest sees in the hole; NULL where not all of it is there. */
const uint8_t *hole_bytes(uint32_t offset, uint32_t size)
{
	if (offset + size <= GUEST_VISIBLE_SIZE)
		return state + offset;
	if (offset >= TRAMPOLINES_OFFSET && offset + size <= TRAMPOLINES_OFFSET + TRAMPOLINES_SIZE)
		return state + TRAMPOLINES_FILE_OFFSET + (offset - TRAMPOLINES_OFFSET);
	return NULL;
}

static bool copy(uint32_t linear, uint8_t *bytes, uint32_t size, uint32_t access)
{
	while (size) {
		uint32_t part = page_rest(linear, size);
		struct translation to;

		if (in_hole(linear)) {
			if (access & ACCESS_WRITE || access & ACCESS_USER)
				return raise_page_fault(linear, access | 1);
			uint32_t offset = linear - HOLE;

			const uint8_t *from = hole_bytes(offset, part);

			if (from)
				memcpy(bytes, from, part);
			else
				memset(bytes, 0xff, part);
		} else {
			if (!translate(linear, access, &to))
				return false;
			uint64_t physical = to.physical | (linear & PAGE_MASK);

			if (!is_ram(physical)) {
				if (!device_copy(linear, bytes, part, access & ACCESS_WRITE))
					return false;
			} else if (!(access & ACCESS_WRITE)) {
				memcpy(bytes, ram + physical, part);
			} else if (physical - control.rom_base >= control.rom_size) {
				memcpy(ram + physical, bytes, part);
			}
		}
		linear += part;
		bytes += part;
		size -= part;
	}
	return true;
}

/* May the access go through the host mapping? In ring 3 whatever is mapped below the user limit is the
 * user's (vtlb_enter_user has seen to it), with the rights that it has. */
static bool mapping_decides(uint32_t linear, uint32_t size, uint32_t access)
{
	if (page_rest(linear, size) != size || in_hole(linear))
		return false;
	return !(access & ACCESS_USER) ||
	       (vcpu.cpl == 3 && machine.user_limit && linear < machine.user_limit - size);
}

bool guest_read(uint32_t linear, void *to, uint32_t size, uint32_t access)
{
	if (mapping_decides(linear, size, access) && raw_load(linear + control.slide, to, size))
		return true;
	return copy(linear, to, size, access & ~(uint32_t)ACCESS_WRITE);
}

bool guest_write(uint32_t linear, const void *from, uint32_t size, uint32_t access)
{
	if (mapping_decides(linear, size, access) && raw_store(linear + control.slide, from, size))
		return true;
	return copy(linear, (uint8_t *)from, size, access | ACCESS_WRITE);
}

/* Where in the monitor's own mapping of RAM the bytes lie; NULL where they are on two pages, or not in RAM that the
 * access may reach, or where it faults, which is then raised. For what the guest itself need not have touched before:
 * there the host mapping is not worth trying. */
uint8_t *guest_ram(uint32_t linear, uint32_t size, uint32_t access)
{
	struct translation to;

	if (page_rest(linear, size) != size || in_hole(linear) || !translate(linear, access, &to))
		return 0;
	uint64_t physical = to.physical | (linear & PAGE_MASK);

	if (!is_ram(physical) || (access & ACCESS_WRITE && physical - control.rom_base < control.rom_size))
		return 0;
	return ram + physical;
}

/* Would a write succeed? Raises the page fault if not. */
bool guest_probe_write(uint32_t linear, uint32_t size, uint32_t access)
{
	struct translation to;
	uint32_t last = linear + size - 1;

	return translate(linear, access | ACCESS_WRITE, &to) &&
	       ((linear ^ last) < PAGE_SIZE || translate(last & ~PAGE_MASK, access | ACCESS_WRITE, &to));
}

static bool wide_stack(void) { return vcpu.ss.access & 0x4000; }

/* Linear address `offset` bytes above the stack pointer. */
uint32_t stack_linear(uint32_t offset)
{
	uint32_t pointer = vcpu.esp + offset;

	return vcpu.ss.base + (wide_stack() ? pointer : pointer & 0xffff);
}

/* Move the stack pointer by `bytes` (down if negative); only SP moves on a 16-bit stack. */
void stack_release(int32_t bytes)
{
	uint32_t pointer = vcpu.esp + (uint32_t)bytes;

	vcpu.esp = wide_stack() ? pointer : (vcpu.esp & 0xffff0000u) | (pointer & 0xffff);
}

/* Linear address of `size` bytes at `offset` from the stack pointer, with the checks of the stack segment;
 * for a push, those below it. */
bool stack_operand_linear(uint32_t offset, uint32_t size, bool write, uint32_t *linear)
{
	uint32_t pointer = vcpu.esp + offset;
	struct operand at = { true, 0, 0, SEG_SS, wide_stack() ? pointer : pointer & 0xffff };

	return operand_linear(&at, size, write, linear);
}

static uint32_t stack_access(void) { return vcpu.cpl == 3 ? ACCESS_USER : 0; }

/* Push `size` bytes, an item or several; nothing has changed where that faults. */
bool stack_push(const void *from, uint32_t size)
{
	uint32_t linear;

	if (!stack_operand_linear(-size, size, true, &linear) || !guest_write(linear, from, size, stack_access()))
		return false;
	stack_release(-(int32_t)size);
	return true;
}

/* Read `size` bytes at `offset` above the stack pointer. */
bool stack_read(uint32_t offset, void *to, uint32_t size)
{
	uint32_t linear;

	return stack_operand_linear(offset, size, false, &linear) && guest_read(linear, to, size, stack_access());
}

bool stack_pop(void *to, uint32_t size)
{
	if (!stack_read(0, to, size))
		return false;
	stack_release((int32_t)size);
	return true;
}
