/* Control registers, descriptor-table registers, MSRs, CPUID. */
#include "monitor.h"

#define CR0_RESERVED 0x1ffaffc0u
#define CR4_OFFERED (CR4_PSE | CR4_PGE | 0x20fu /* VME, PVI, TSD, DE, OSFXSR */ | 0x400u /* OSXMMEXCPT */)

bool is_privileged(void)
{
	return vcpu.cpl == 0 || raise_fault(VECTOR_GP, 0);
}

/* Whatever the ring, like write_cr3: for task switches, too. */
bool write_cr0(uint32_t value)
{
	uint32_t old = shared.cr0;

	if ((value & CR0_PG) && !(value & CR0_PE))
		return raise_fault(VECTOR_GP, 0);
	if (!(value & CR0_PE)) /* back to real mode: this machine has none */
		return raise_fault(VECTOR_GP, 0);
	shared.cr0 = (value & ~CR0_RESERVED) | CR0_ET;
	if ((old ^ value) & (CR0_PG | CR0_WP)) {
		machine.user_limit = 0;
		mirror_user_limit();
		pool_flush_all();
	}
	return true;
}

bool write_cr3(uint32_t value)
{
	uint32_t old = shared.cr3;

	shared.cr3 = value;
	machine.refill_valid = 0;
	if (!paging_on())
		return true;
	if (value != machine.pool[self].cr3 && !user_limit_kernel_only(value)) {
		/* Another address space: its process goes on from here. */
		pool_switch(value);
	}
	vtlb_validate((value ^ old) & 0xfff);
	return true;
}

static bool write_cr4(uint32_t value)
{
	uint32_t old = shared.cr4;

	if (value & ~CR4_OFFERED)
		return raise_fault(VECTOR_GP, 0);
	shared.cr4 = value;
	if ((old ^ value) & (CR4_PSE | CR4_PGE))
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

enum { MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_PLATFORM_ID = 0x17, MSR_MICROCODE = 0x8b, MSR_SYSENTER_CS = 0x174,
       MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a,
       MSR_MISC_ENABLE = 0x1a0, MSR_MTRR_FIRST = 0x200, MSR_MTRR_LAST = 0x20f, MSR_PAT = 0x277,
       MSR_MTRR_DEF_TYPE = 0x2ff, MSR_MTRR_CAP = 0xfe };

bool read_msr(void)
{
	uint64_t value = 0;

	if (!is_privileged())
		return false;
	switch (vcpu.ecx) {
	case MSR_TSC: value = read_tsc() + vcpu.tsc_offset; break;
	case MSR_APIC_BASE: value = vcpu.apic_base; break;
	case MSR_SYSENTER_CS: value = vcpu.sysenter_cs; break;
	case MSR_SYSENTER_ESP: value = vcpu.sysenter_esp; break;
	case MSR_SYSENTER_EIP: value = vcpu.sysenter_eip; break;
	case MSR_MISC_ENABLE: value = vcpu.misc_enable; break;
	case MSR_PAT: value = vcpu.pat; break;
	case MSR_PLATFORM_ID: case MSR_MICROCODE: case MSR_MCG_CAP: case MSR_MCG_STATUS:
	case MSR_MTRR_CAP: case MSR_MTRR_DEF_TYPE: break;
	default:
		if (vcpu.ecx - MSR_MTRR_FIRST > MSR_MTRR_LAST - MSR_MTRR_FIRST)
			return raise_fault(VECTOR_GP, 0);
	}
	vcpu.eax = (uint32_t)value;
	vcpu.edx = (uint32_t)(value >> 32);
	return true;
}

/* Eight memory types, of which 2 and 3 are none (SDM vol. 3, 12.12.2). */
static bool is_pat(uint64_t value)
{
	for (uint32_t i = 0; i < 8; i++, value >>= 8)
		if ((value & 0xff) > 7 || (value & 0xfe) == 2)
			return false;
	return true;
}

bool write_msr(void)
{
	uint64_t value = (uint64_t)vcpu.edx << 32 | vcpu.eax;

	if (!is_privileged())
		return false;
	switch (vcpu.ecx) {
	case MSR_TSC: vcpu.tsc_offset = value - read_tsc(); break;
	case MSR_APIC_BASE: vcpu.apic_base = value & 0xffffff900ull; break;
	case MSR_SYSENTER_CS: vcpu.sysenter_cs = (uint32_t)value; break;
	case MSR_SYSENTER_ESP: vcpu.sysenter_esp = (uint32_t)value; break;
	case MSR_SYSENTER_EIP: vcpu.sysenter_eip = (uint32_t)value; break;
	case MSR_MISC_ENABLE: vcpu.misc_enable = value; break;
	case MSR_PAT:
		if (!is_pat(value))
			return raise_fault(VECTOR_GP, 0);
		vcpu.pat = value;
		break;
	case MSR_MICROCODE: case MSR_MCG_STATUS: case MSR_MTRR_DEF_TYPE: break;
	default:
		if (vcpu.ecx - MSR_MTRR_FIRST > MSR_MTRR_LAST - MSR_MTRR_FIRST)
			return raise_fault(VECTOR_GP, 0);
	}
	return true;
}

/* CPUID.1:EDX of the virtual CPU: FPU, PSE, TSC, MSR, CX8, APIC, SEP, PGE, CMOV, PAT, MMX, FXSR, SSE, SSE2. */
#define FEATURES_EDX 0x0781ab39u
/* CPUID.1:ECX: SSE3, and "runs under a hypervisor". */
#define FEATURES_ECX 0x80000001u
#define SIGNATURE 0x00000673u /* family 6, model 7: a CPU of the time when 32-bit kernels were common */

struct cpuid_leaf {
	uint32_t leaf, eax, ebx, ecx, edx;
};

/* Intel SDM vol. 2, CPUID; hypervisor leaves as Xen and KVM lay them out. */
static const struct cpuid_leaf leaves[] = {
	{ 0x00000000, 2, 0x756e6547, 0x6c65746e, 0x49656e69 }, /* GenuineIntel */
	{ 0x00000001, SIGNATURE, 0x00010800, FEATURES_ECX, FEATURES_EDX },
	{ 0x00000002, 0x00000001, 0, 0, 0 },
	{ 0x40000000, 0x40000001, 0x676e6972, 0x69723333, 0x3333676e }, /* ring33ring33 */
	{ 0x40000001, ABI_VERSION, 0, 0, 0 },
	{ 0x80000000, 0x80000004, 0, 0, 0 },
	{ 0x80000001, 0, 0, 0, 0 },
	{ 0x80000002, 0x676e6972, 0x69762033, 0x61757472, 0x5043206c }, /* ring3 virtual CPU */
	{ 0x80000003, 0x00000055, 0, 0, 0 },
	{ 0x80000004, 0, 0, 0, 0 },
};

void virtual_cpuid(void)
{
	uint32_t leaf = vcpu.eax;
	struct cpuid_leaf found = { 0, 0, 0, 0, 0 };

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		if (leaves[i].leaf == leaf)
			found = leaves[i];
	if (leaf == 1 && !(vcpu.apic_base & 0x800))
		found.edx &= ~0x200u;
	vcpu.eax = found.eax;
	vcpu.ebx = found.ebx;
	vcpu.ecx = found.ecx;
	vcpu.edx = found.edx;
}
