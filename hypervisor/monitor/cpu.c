/* What the virtual CPU says of itself: CPUID as its model has it (hypervisor/cpu_model.py), and MSRs. */
#include "monitor.h"

#define LEAF_FEATURES 1u
#define LEAF_EXTENDED 0x80000001u
#define APIC_ENABLED 0x800u

static struct cpuid_leaf leaf_of(uint32_t number)
{
	uint32_t count = control.cpuid_count;

	for (uint32_t i = 0; i < count && i < sizeof(control.cpuid) / sizeof(control.cpuid[0]); i++)
		if (control.cpuid[i].leaf == number)
			return control.cpuid[i];
	return (struct cpuid_leaf){ number, 0, 0, 0, 0 };
}

/* Is the bit of CPUID.1:EDX, or of CPUID.80000001H:EDX, set? */
bool cpu_has(uint32_t bit) { return leaf_of(LEAF_FEATURES).edx & bit; }
static bool cpu_has_extended(uint32_t bit) { return leaf_of(LEAF_EXTENDED).edx & bit; }

void virtual_cpuid(void)
{
	struct cpuid_leaf leaf = leaf_of(vcpu.eax);

	if (leaf.leaf == LEAF_FEATURES && !(vcpu.apic_base & APIC_ENABLED))
		leaf.edx &= ~CPU_APIC;
	vcpu.eax = leaf.eax;
	vcpu.ebx = leaf.ebx;
	vcpu.ecx = leaf.ecx;
	vcpu.edx = leaf.edx;
}

enum { MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_PLATFORM_ID = 0x17, MSR_MICROCODE = 0x8b, MSR_SYSENTER_CS = 0x174,
       MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a,
       MSR_MISC_ENABLE = 0x1a0, MSR_MTRR_FIRST = 0x200, MSR_MTRR_LAST = 0x20f, MSR_PAT = 0x277,
       MSR_MTRR_DEF_TYPE = 0x2ff, MSR_MTRR_CAP = 0xfe, MSR_EFER = 0xc0000080 };

/* The feature by which a model has an MSR; those not listed come with the first. */
static bool may_use_msr(uint32_t number)
{
	bool there = cpu_has(CPU_MSR);

	if (!there)
		return raise_plain(VECTOR_UD);
	if (!is_privileged())
		return false;
	switch (number) {
	case MSR_TSC: there = cpu_has(CPU_TSC); break;
	case MSR_APIC_BASE: there = cpu_has(CPU_APIC); break;
	case MSR_SYSENTER_CS: case MSR_SYSENTER_ESP: case MSR_SYSENTER_EIP: there = cpu_has(CPU_SEP); break;
	case MSR_PAT: there = cpu_has(CPU_PAT); break;
	case MSR_EFER: there = cpu_has_extended(CPU_NX); break;
	}
	return there || raise_fault(VECTOR_GP, 0);
}

bool read_msr(void)
{
	uint64_t value = 0;

	if (!may_use_msr(vcpu.ecx))
		return false;
	switch (vcpu.ecx) {
	case MSR_TSC: value = read_tsc() + vcpu.tsc_offset; break;
	case MSR_APIC_BASE: value = vcpu.apic_base; break;
	case MSR_SYSENTER_CS: value = vcpu.sysenter_cs; break;
	case MSR_SYSENTER_ESP: value = vcpu.sysenter_esp; break;
	case MSR_SYSENTER_EIP: value = vcpu.sysenter_eip; break;
	case MSR_MISC_ENABLE: value = vcpu.misc_enable; break;
	case MSR_PAT: value = vcpu.pat; break;
	case MSR_EFER: value = vcpu.efer; break;
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

	if (!may_use_msr(vcpu.ecx))
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
	case MSR_EFER:
		if (value & ~(uint64_t)EFER_NXE)
			return raise_fault(VECTOR_GP, 0);
		if (value != vcpu.efer) {
			vcpu.efer = value;
			pool_flush_all();
		}
		break;
	case MSR_MICROCODE: case MSR_MCG_STATUS: case MSR_MTRR_DEF_TYPE: break;
	default:
		if (vcpu.ecx - MSR_MTRR_FIRST > MSR_MTRR_LAST - MSR_MTRR_FIRST)
			return raise_fault(VECTOR_GP, 0);
	}
	return true;
}
