/* Single accesses by guest-linear address, wherever they lead: RAM, ROM, the APICs, the hole, or a
 * device of the VMM. */
#include "monitor.h"

#define IOAPIC_PAGE 0xfec00000u

static uint32_t device_read(uint64_t physical, uint32_t size)
{
	uint64_t page = physical & ~(uint64_t)PAGE_MASK;
	uint32_t offset = physical & PAGE_MASK;

	if (page == (vcpu.apic_base & ~(uint64_t)PAGE_MASK))
		return lapic_read(offset & ~3u) >> (offset & 3) * 8 & mask_of(size);
	if (page == IOAPIC_PAGE)
		return ioapic_read(offset) & mask_of(size);
	if (vga_decodes(physical))
		return vga_read(physical, size);
	exit_prepare(0, physical, size, 1, 0);
	return exit_to_vmm(EXIT_MMIO_READ) & mask_of(size);
}

static void device_write(uint64_t physical, uint32_t size, uint32_t value)
{
	uint64_t page = physical & ~(uint64_t)PAGE_MASK;
	uint32_t offset = physical & PAGE_MASK;

	if (page == (vcpu.apic_base & ~(uint64_t)PAGE_MASK)) {
		lapic_write(offset, value);
	} else if (page == IOAPIC_PAGE) {
		ioapic_write(offset, value);
	} else if (vga_decodes(physical)) {
		vga_write(physical, size, value);
	} else {
		exit_prepare(0, physical, size, 1, value & mask_of(size));
		exit_to_vmm(EXIT_MMIO_WRITE);
	}
}

static bool hole_read(uint32_t offset, uint32_t size, uint32_t *value)
{
	const uint8_t *from = hole_bytes(offset, size);

	*value = from ? 0 : ~0u;
	if (from)
		memcpy(value, from, size);
	*value &= mask_of(size);
	return true;
}

/* Only the virtual IF can be written, and only by rings that may (IOPL). */
static bool hole_write(uint32_t offset, uint32_t value)
{
	if (vcpu.cpl > vcpu.iopl)
		return raise_fault(VECTOR_GP, 0);
	if (offset == offsetof(struct shared_page, upcall_mask))
		vif_set(!(value & 1));
	return true;
}

static bool access_memory(uint32_t linear, uint32_t size, uint32_t *value, bool write)
{
	uint32_t access = (write ? ACCESS_WRITE : 0) | (vcpu.cpl == 3 ? ACCESS_USER : 0);
	struct translation to;

	if (linear - HOLE < HOLE_SIZE)
		return write ? hole_write(linear - HOLE, *value) : hole_read(linear - HOLE, size, value);
	if ((linear & PAGE_MASK) + size > PAGE_SIZE) {
		/* Over a page's end: both pages must allow it before either is touched. */
		uint32_t part = PAGE_SIZE - (linear & PAGE_MASK), low = *value, high = *value >> part * 8;

		if (!translate(linear, access, &to) || !translate(linear + part, access, &to) ||
		    !access_memory(linear, part, &low, write) || !access_memory(linear + part, size - part, &high, write))
			return false;
		*value = (low & mask_of(part)) | high << part * 8;
		return true;
	}
	if (!translate(linear, access, &to))
		return false;
	uint64_t physical = to.physical | (linear & PAGE_MASK);

	if (!is_ram(physical)) {
		uint32_t written = write ? *value : 0;

		if (write)
			device_write(physical, size, *value);
		else
			*value = device_read(physical, size);
		if (tracing(TRACE_DEVICE))
			trace_event(TRACE_DEVICE, write ? ACCESSED_MMIO_WRITE : ACCESSED_MMIO_READ,
				    (uint32_t[5]){ (uint32_t)physical, written, size }, write ? 0 : *value);
	} else if (!write) {
		*value = 0;
		memcpy(value, ram + physical, size);
	} else if (physical - control.rom_base >= control.rom_size) {
		memcpy(ram + physical, value, size);
	}
	return true;
}

/* `size` is 1, 2 or 4; 3 only inside. False with a page fault noted. */
bool memory_read(uint32_t linear, uint32_t size, uint32_t *value)
{
	*value = 0;
	return access_memory(linear, size, value, false);
}

bool memory_write(uint32_t linear, uint32_t size, uint32_t value)
{
	return access_memory(linear, size, &value, true);
}
