/* Control registers and descriptor-table registers. */
#include "monitor.h"

#define CR0_RESERVED 0x1ffaffc0u

/* Bits of CR4 that can be set, with the features that they belong to (SDM vol. 3, 2.5). */
static const struct {
	uint32_t bit, feature;
} cr4_bits[] = {
	{ CR4_VME | CR4_PVI, CPU_DE }, /* without effect: there is no virtual-8086 mode */
	{ CR4_TSD, CPU_TSC }, { CR4_DE, CPU_DE }, { CR4_PSE, CPU_PSE }, { CR4_PAE, CPU_PAE }, { CR4_PGE, CPU_PGE },
	{ CR4_OSFXSR, CPU_FXSR }, { CR4_OSXMMEXCPT, CPU_SSE },
};

static uint32_t cr4_offered(void)
{
	uint32_t offered = 0;

	for (size_t i = 0; i < sizeof(cr4_bits) / sizeof(cr4_bits[0]); i++)
		if (cpu_has(cr4_bits[i].feature))
			offered |= cr4_bits[i].bit;
	return offered;
}

bool is_privileged(void)
{
	return vcpu.cpl == 0 || raise_fault(VECTOR_GP, 0);
}

/* Every page table entry may now mean something else. */
static void translations_change(void)
{
	machine.user_limit = 0;
	mirror_user_limit();
	pool_flush_all();
}

/* Whatever the ring, like write_cr3: for task switches, too. */
bool write_cr0(uint32_t value)
{
	uint32_t old = shared.cr0;

	if ((value & CR0_PG) && !(value & CR0_PE))
		return raise_fault(VECTOR_GP, 0);
	if (!(value & CR0_PE)) /* back to real mode: this machine has none */
		return raise_fault(VECTOR_GP, 0);
	if (value & CR0_PG && (old ^ value) & (CR0_PG | CR0_CD | CR0_NW) && machine.wide && !load_pdptes(shared.cr3))
		return false;
	shared.cr0 = (value & ~CR0_RESERVED) | CR0_ET;
	fpu_follow();
	if ((old ^ value) & (CR0_PG | CR0_WP))
		translations_change();
	if ((old ^ value) & CR0_PG)
		cells_follow_paging();
	return true;
}

bool write_cr3(uint32_t value)
{
	uint32_t old = shared.cr3;

	if (paging_on() && machine.wide && !load_pdptes(value))
		return false;
	shared.cr3 = value;
	machine.refill_valid = 0;
	if (!paging_on())
		return true;
	if (value != machine.pool[self].cr3 && !user_limit_kernel_only()) {
		/* Another address space: its process goes on from here. */
		pool_switch(value);
	}
	vtlb_validate((value ^ old) & 0xfff);
	return true;
}

static bool write_cr4(uint32_t value)
{
	uint32_t old = shared.cr4;

	if (value & ~cr4_offered())
		return raise_fault(VECTOR_GP, 0);
	if (paging_on() && value & CR4_PAE && (old ^ value) & (CR4_PAE | CR4_PSE | CR4_PGE) &&
	    !load_pdptes(shared.cr3))
		return false;
	shared.cr4 = value;
	machine.wide = (value & CR4_PAE) != 0;
	fpu_follow();
	if ((old ^ value) & CR4_DE)
		debug_follow();
	if ((old ^ value) & CR4_PAE)
		translations_change();
	else if ((old ^ value) & (CR4_PSE | CR4_PGE))
		pool_flush_all();
	return true;
}

bool write_cr(uint32_t number, uint32_t value)
{
	if (!is_privileged())
		return false;
	switch (number) {
	case 0: return write_cr0(value);
	case 2: shared.cr2 = value; return true;
	case 3: return write_cr3(value);
	case 4: return write_cr4(value);
	default: return raise_plain(VECTOR_UD);
	}
}

/* lgdt, lidt: 6 bytes at `linear`; `narrow` (16-bit operand) takes 24 bits of base. */
bool load_table_register(bool gdt, uint32_t linear, bool narrow)
{
	uint8_t image[6];
	uint32_t base;
	uint16_t limit;

	if (!is_privileged() || !guest_read(linear, image, 6, 0))
		return false;
	memcpy(&limit, image, 2);
	memcpy(&base, image + 2, 4);
	if (narrow)
		base &= 0xffffff;
	if (gdt) {
		vcpu.gdt_base = base;
		vcpu.gdt_limit = limit;
		mirror_table();
	} else {
		vcpu.idt_base = base;
		vcpu.idt_limit = limit;
	}
	return true;
}

static bool system_descriptor(uint32_t selector, uint32_t type, uint32_t other, struct segment *out, uint64_t *d)
{
	if (selector & 4)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (!descriptor_read(selector, d))
		return false;
	segment_unpack(selector, *d, out);
	uint32_t kind = out->access & 0x1f;

	if (kind != type && kind != other)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	return out->access & 0x80 ? true : raise_fault(VECTOR_NP, selector & 0xfffc);
}

bool load_ldtr(uint32_t selector)
{
	struct segment segment = { selector, 0, 0, 0 };
	uint64_t d;

	if (!is_privileged())
		return false;
	if (selector & 0xfffc && !system_descriptor(selector, 2, 2, &segment, &d))
		return false;
	vcpu.ldtr = segment;
	mirror_table();
	return true;
}

void task_register_set(const struct segment *tss)
{
	vcpu.tr = *tss;
	machine.inner_stacks = tss->access & TSS_WIDE ? tss->limit : 0;
}

bool load_tr(uint32_t selector)
{
	struct segment segment;
	uint64_t d;

	if (!is_privileged())
		return false;
	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (!system_descriptor(selector, 9, 1, &segment, &d))
		return false;
	d |= 1ull << 41; /* busy */
	if (!guest_write(vcpu.gdt_base + (selector & 0xfff8), &d, 8, 0))
		return false;
	task_register_set(&segment);
	return true;
}
