/* Far jumps, calls and returns, also by call gates (SDM vol. 2, CALL, JMP, RET), and the fast system calls. */
#include "monitor.h"

enum { SYSTEM_TSS16 = 1, SYSTEM_CALL_GATE16 = 4, SYSTEM_TASK_GATE = 5, SYSTEM_TSS = 9, SYSTEM_CALL_GATE = 0xc };

#define PARAMETERS_MAX 31

bool flow_lret(uint32_t release, bool wide)
{
	uint32_t frame[2];

	return stack_items(0, frame, 2, wide) && far_return(frame[0], frame[1], 2, release, wide);
}

/* The return address, onto the stack that stays. */
static bool call_in_ring(const struct segment *cs, uint32_t eip, bool wide)
{
	uint32_t frame[2] = { original_eip(vcpu.eip), vcpu.cs.selector }, esp = vcpu.esp;

	if (eip > cs->limit)
		return raise_fault(VECTOR_GP, 0);
	if (!frame_push(&vcpu.ss, &esp, vcpu.cpl, frame, 2, wide, 0))
		return false;
	vcpu.esp = esp;
	return transfer_to(cs, eip);
}

/* By a call gate to an inner ring, on its stack, to which `count` parameters are copied. */
static bool call_inward(const struct segment *cs, uint32_t eip, uint32_t count, bool wide)
{
	uint32_t items[2 + PARAMETERS_MAX + 2] = { original_eip(vcpu.eip), vcpu.cs.selector }, level = cs->selector & 3, esp;
	struct segment ss;

	if (!inner_stack(level, &ss, &esp))
		return false;
	if (count && !stack_items(0, items + 2, count, wide))
		return false;
	items[2 + count] = vcpu.esp;
	items[3 + count] = vcpu.ss.selector;
	if (eip > cs->limit)
		return raise_fault(VECTOR_GP, 0);
	if (!frame_push(&ss, &esp, level, items, count + 4, wide, ss.selector & 0xfffc))
		return false;
	vcpu.esp = esp;
	ss_set(&ss);
	return transfer_to(cs, eip);
}

static bool by_call_gate(uint64_t gate, bool call)
{
	bool wide = gate >> 43 & 1;
	uint32_t eip = (uint32_t)(gate & 0xffff) | (wide ? (uint32_t)(gate >> 32) & 0xffff0000u : 0);
	struct segment cs;

	if (!transfer_target((uint32_t)(gate >> 16) & 0xffff, call ? TRANSFER_INWARD : TRANSFER_GATE, &cs))
		return false;
	if (!call)
		return transfer_to(&cs, eip);
	return (cs.selector & 3) < vcpu.cpl ? call_inward(&cs, eip, (uint32_t)(gate >> 32) & 0x1f, wide) :
					      call_in_ring(&cs, eip, wide);
}

/* A far jump or call whose selector names a system descriptor: a gate or a task. */
static bool by_system_segment(uint32_t selector, uint64_t d, bool call)
{
	uint32_t type = (uint32_t)(d >> 40) & 0xf, dpl = (uint32_t)(d >> 45) & 3, rpl = selector & 3;
	enum task_way way = call ? TASK_CALL : TASK_JUMP;

	if (dpl < vcpu.cpl || dpl < rpl)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (type == SYSTEM_TSS || type == SYSTEM_TSS16)
		return task_switch(selector, way);
	if (type != SYSTEM_TASK_GATE && type != SYSTEM_CALL_GATE && type != SYSTEM_CALL_GATE16)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (!(d >> 47 & 1))
		return raise_fault(VECTOR_NP, selector & 0xfffc);
	return type == SYSTEM_TASK_GATE ? task_switch((uint32_t)(d >> 16) & 0xffff, way) : by_call_gate(d, call);
}

static bool far_transfer(uint32_t selector, uint32_t eip, bool call, bool wide)
{
	struct segment cs;
	uint64_t d;

	selector &= 0xffff;
	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (!descriptor_read(selector, &d))
		return false;
	if (!(d >> 44 & 1)) /* S */
		return by_system_segment(selector, d, call);
	if (!transfer_target(selector, TRANSFER_DIRECT, &cs))
		return false;
	return call ? call_in_ring(&cs, eip, wide) : transfer_to(&cs, eip);
}

bool flow_ljmp(uint32_t selector, uint32_t offset)
{
	return far_transfer(selector, offset, false, true);
}

bool flow_lcall(uint32_t selector, uint32_t offset, bool wide)
{
	return far_transfer(selector, offset, true, wide);
}

/* The flat segments that sysenter and sysexit load without reading descriptors. */
static void flat_segment(uint32_t selector, bool code, struct segment *out)
{
	uint32_t dpl = selector & 3;
	uint64_t d = 0x00cf92000000ffffull | (uint64_t)dpl << 45 | (code ? 1ull << 43 : 0);

	mirror_entry(selector, d);
	segment_unpack(selector, d, out);
}

bool flow_sysenter(void)
{
	struct segment cs, ss;

	if (!(vcpu.sysenter_cs & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	flat_segment(vcpu.sysenter_cs & 0xfffc, true, &cs);
	flat_segment((vcpu.sysenter_cs + 8) & 0xfffc, false, &ss);
	cs_set(&cs);
	ss_set(&ss);
	vcpu.esp = vcpu.sysenter_esp;
	vcpu.eip = vcpu.sysenter_eip;
	shared.upcall_mask = 1;
	return true;
}

bool flow_sysexit(void)
{
	struct segment cs, ss;

	if (!(vcpu.sysenter_cs & 0xfffc) || vcpu.cpl != 0)
		return raise_fault(VECTOR_GP, 0);
	flat_segment(((vcpu.sysenter_cs + 16) & 0xfffc) | 3, true, &cs);
	flat_segment(((vcpu.sysenter_cs + 24) & 0xfffc) | 3, false, &ss);
	cs_set(&cs);
	ss_set(&ss);
	vcpu.esp = vcpu.ecx;
	vcpu.eip = vcpu.edx;
	enter_outer();
	return true;
}
