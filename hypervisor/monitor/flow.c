/* Control transfers between segments and rings: interrupts, iret, far jumps, calls and returns,
 * sysenter (SDM vol. 2 and vol. 3, chapters 5 and 6). */
#include "monitor.h"

#define ACCESS_S 0x10u
#define ACCESS_P 0x80u
#define ACCESS_CODE 8u
#define ACCESS_CONFORMING 4u
#define ACCESS_WRITABLE 2u
#define DPL(access) ((access) >> 5 & 3)

uint32_t flags_for_guest(void)
{
	return (vcpu.eflags & ~(FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_RF)) | (interrupts_on() ? FLAG_IF : 0) |
	       vcpu.iopl << 12 | 2;
}

/* Set the virtual IF. */
void vif_set(bool on)
{
	shared.upcall_mask = !on;
	if (on && !shared.not_pending)
		machine.events = 1;
}

/* Load EFLAGS bits of `mask` from a guest's image; IF and IOPL as the current ring may. */
void flags_from_guest(uint32_t value, uint32_t mask)
{
	const uint32_t plain = mask & ~(FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_RF | 2);

	vcpu.eflags = (vcpu.eflags & ~plain) | (value & plain) | 2;
	if (mask & FLAG_IF && vcpu.cpl <= vcpu.iopl)
		vif_set(value & FLAG_IF);
	if (mask & FLAG_IOPL && vcpu.cpl == 0 && vcpu.iopl != (value >> 12 & 3)) {
		vcpu.iopl = value >> 12 & 3;
		flag_tables_write();
	}
}

static uint32_t stack_top(const struct segment *ss, uint32_t esp)
{
	return ss->base + (ss->access & 0x4000 ? esp : esp & 0xffff);
}

/* A code segment for a transfer that may not change the ring, or (`gate`) may go inward. */
static bool code_segment(uint32_t selector, bool gate, uint32_t error_bits, struct segment *out)
{
	uint64_t d;

	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, error_bits & 1);
	if (!descriptor_read(selector, &d))
		return false;
	segment_unpack(selector, d, out);
	bool conforming = out->access & ACCESS_CONFORMING;
	uint32_t dpl = DPL(out->access), rpl = selector & 3;

	if (!(out->access & ACCESS_S) || !(out->access & ACCESS_CODE) || dpl > vcpu.cpl ||
	    (!gate && !conforming && (dpl != vcpu.cpl || rpl > vcpu.cpl)))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (!(out->access & ACCESS_P))
		return raise_fault(VECTOR_NP, selector & 0xfffc);
	if (!mirror_entry(selector, d))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	uint32_t level = gate && !conforming ? dpl : vcpu.cpl;

	out->selector = (selector & 0xfffc) | level;
	return true;
}

/* Stack of inner ring `level` by the TSS (32-bit). */
static bool inner_stack(uint32_t level, struct segment *ss, uint32_t *esp)
{
	struct {
		uint32_t esp, ss;
	} slot;
	uint64_t d;
	uint32_t offset = 4 + level * 8;

	if (!(vcpu.tr.selector & 0xfffc) || offset + 7 > vcpu.tr.limit)
		return raise_fault(VECTOR_TS, vcpu.tr.selector & 0xfffc);
	if (!guest_read(vcpu.tr.base + offset, &slot, 8, 0))
		return false;
	uint32_t selector = slot.ss & 0xffff;

	if (!(selector & 0xfffc) || !descriptor_read(selector, &d))
		return raise_fault(VECTOR_TS, selector & 0xfffc);
	segment_unpack(selector, d, ss);
	if ((selector & 3) != level || DPL(ss->access) != level || !(ss->access & ACCESS_S) ||
	    ss->access & ACCESS_CODE || !(ss->access & ACCESS_WRITABLE))
		return raise_fault(VECTOR_TS, selector & 0xfffc);
	if (!(ss->access & ACCESS_P) || !mirror_entry(selector, d))
		return raise_fault(VECTOR_SS, selector & 0xfffc);
	*esp = slot.esp;
	return true;
}

static bool gate_read(uint32_t vector, bool software, uint32_t gate[2])
{
	uint32_t error = vector * 8 + 2 + (software ? 0 : 1);

	if (vector * 8 + 7 > vcpu.idt_limit)
		return raise_fault(VECTOR_GP, error);
	if (!guest_read(vcpu.idt_base + vector * 8, gate, 8, 0))
		return false;
	uint32_t type = gate[1] >> 8 & 0x1f;

	if (type != 0xe && type != 0xf && type != 6 && type != 7)
		return raise_fault(VECTOR_GP, error);
	if (software && (gate[1] >> 13 & 3) < vcpu.cpl)
		return raise_fault(VECTOR_GP, vector * 8 + 2);
	if (!(gate[1] & 0x8000))
		return raise_fault(VECTOR_NP, error);
	return true;
}

/* Enter the handler of `vector` by the guest's IDT; the return address is vcpu.eip. False with a fault
 * noted, and nothing changed, where the tables do not allow it. */
bool interrupt_enter(uint32_t vector, enum cause cause, bool has_error, uint32_t error)
{
	uint32_t gate[2], frame[6], count = 0, esp = vcpu.esp;
	struct segment cs, ss = vcpu.ss;

	if (!gate_read(vector, cause == CAUSE_SOFTWARE, gate) || !code_segment(gate[0] >> 16, true, 0, &cs))
		return false;
	uint32_t level = cs.selector & 3;
	bool inward = level < vcpu.cpl, wide = gate[1] & 0x800;

	if (inward && !inner_stack(level, &ss, &esp))
		return false;
	if (has_error)
		frame[count++] = error;
	frame[count++] = vcpu.eip;
	frame[count++] = vcpu.cs.selector;
	/* Faults push RF, so that returning from them does not meet the same breakpoint (SDM vol. 3, 17.3.1.1). */
	frame[count++] = flags_for_guest() | (cause == CAUSE_FAULT ? FLAG_RF : 0);
	if (inward) {
		frame[count++] = vcpu.esp;
		frame[count++] = vcpu.ss.selector;
	}
	uint32_t bytes = count * (wide ? 4 : 2);

	if (!wide)
		for (uint32_t i = 0; i < count; i++)
			((uint16_t *)frame)[i] = (uint16_t)frame[i];
	esp = ss.access & 0x4000 ? esp - bytes : (esp & 0xffff0000u) | ((esp - bytes) & 0xffff);
	if (!guest_write(stack_top(&ss, esp), frame, bytes, level == 3 ? ACCESS_USER : 0))
		return false;
	machine.entered = true;
	vcpu.esp = esp;
	cs_set(&cs);
	if (inward)
		ss_set(&ss);
	vcpu.eip = wide ? (gate[0] & 0xffff) | (gate[1] & 0xffff0000u) : gate[0] & 0xffff;
	/* AC too: it acts in ring 3 only, which is where the host runs the inner rings. */
	vcpu.eflags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC);
	if (!(gate[1] & 0x100)) /* interrupt gate */
		shared.upcall_mask = 1;
	return true;
}

bool flow_int(uint32_t vector)
{
	return interrupt_enter(vector, CAUSE_SOFTWARE, false, 0);
}

/* Ring 3 begins (or goes on): take away what it must not see. */
static void enter_outer(void)
{
	segments_after_return();
	if (vcpu.cpl != 3)
		return;
	if (machine.fpu_due)
		machine.events = 1;
	if (!machine.user_limit && paging_on())
		user_limit_learn();
	vtlb_enter_user();
	if (machine.refill_valid) {
		/* The fault that the kernel has just handled: fill it now instead of by another trap. */
		struct fault keep = machine.fault;

		machine.refill_valid = 0;
		if (!exact_dirty())
			vtlb_fill(machine.refill, ACCESS_USER);
		machine.fault = keep;
	}
}

/* Code and stack segments of an outward return. */
static bool outer_segments(uint32_t cs_selector, uint32_t ss_selector, struct segment *cs, struct segment *ss)
{
	uint64_t d;
	uint32_t rpl = cs_selector & 3;

	if (!descriptor_read(cs_selector, &d))
		return false;
	segment_unpack(cs_selector, d, cs);
	bool conforming = cs->access & ACCESS_CONFORMING;

	if (!(cs->access & ACCESS_S) || !(cs->access & ACCESS_CODE) ||
	    (conforming ? DPL(cs->access) > rpl : DPL(cs->access) != rpl))
		return raise_fault(VECTOR_GP, cs_selector & 0xfffc);
	if (!(cs->access & ACCESS_P))
		return raise_fault(VECTOR_NP, cs_selector & 0xfffc);
	if (!mirror_entry(cs_selector, d))
		return raise_fault(VECTOR_GP, cs_selector & 0xfffc);
	if (!(ss_selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (!descriptor_read(ss_selector, &d))
		return false;
	segment_unpack(ss_selector, d, ss);
	if ((ss_selector & 3) != rpl || DPL(ss->access) != rpl || !(ss->access & ACCESS_S) ||
	    ss->access & ACCESS_CODE || !(ss->access & ACCESS_WRITABLE))
		return raise_fault(VECTOR_GP, ss_selector & 0xfffc);
	if (!(ss->access & ACCESS_P) || !mirror_entry(ss_selector, d))
		return raise_fault(VECTOR_SS, ss_selector & 0xfffc);
	return true;
}

/* Read `count` stack items above the pointer, widened to 32 bits. */
static bool stack_items(uint32_t skip, uint32_t *items, uint32_t count, bool wide)
{
	uint32_t size = wide ? 4 : 2;

	if (!stack_read(skip * size, items, count * size))
		return false;
	if (!wide)
		for (uint32_t i = count; i-- > 0;)
			items[i] = ((uint16_t *)items)[i];
	return true;
}

/* Same or outer ring: the shared end of iret and lret. `release` are argument bytes of lret n. */
static bool far_return(uint32_t eip, uint32_t selector, uint32_t popped, uint32_t release, bool wide)
{
	struct segment cs, ss;
	uint32_t rpl = selector & 3, size = wide ? 4 : 2, outer[2];

	selector &= 0xffff;
	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (rpl < vcpu.cpl)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (rpl == vcpu.cpl) {
		if (!code_segment(selector, false, 0, &cs))
			return false;
		cs.selector = selector;
		stack_release((int32_t)(popped * size + release));
		cs_set(&cs);
	} else {
		if (release && popped * size + release > 0xffff)
			return raise_fault(VECTOR_GP, 0);
		if (!stack_read(popped * size + release, outer, 2 * size))
			return false;
		if (!wide) {
			outer[1] = ((uint16_t *)outer)[1];
			outer[0] &= 0xffff;
		}
		if (!outer_segments(selector, outer[1] & 0xffff, &cs, &ss))
			return false;
		cs.selector = selector;
		ss.selector = outer[1] & 0xffff;
		cs_set(&cs);
		ss_set(&ss);
		vcpu.esp = outer[0] + release;
		enter_outer();
	}
	vcpu.eip = eip;
	return true;
}

bool flow_iret(bool wide)
{
	uint32_t frame[3], cpl = vcpu.cpl, iopl = vcpu.iopl;

	if (vcpu.eflags & FLAG_NT) /* a nested task: hardware task switching */
		return raise_fault(VECTOR_TS, vcpu.tr.selector & 0xfffc);
	if (!stack_items(0, frame, 3, wide))
		return false;
	if (wide && frame[2] & FLAG_VM && cpl == 0)
		return raise_fault(VECTOR_GP, 0); /* virtual-8086 mode cannot run here */
	uint32_t mask = (wide ? 0x257fd5u : 0x7fd5u) & ~(FLAG_IF | FLAG_IOPL);

	if (!far_return(frame[0], frame[1], 3, 0, wide))
		return false;
	/* IF and IOPL by the ring that the return came from (SDM vol. 2, IRET). */
	flags_from_guest(frame[2], mask);
	if (wide && frame[2] & FLAG_RF && machine.watching_code)
		debug_resume_flag();
	if (cpl <= iopl)
		vif_set(frame[2] & FLAG_IF);
	if (cpl == 0 && vcpu.iopl != (frame[2] >> 12 & 3)) {
		vcpu.iopl = frame[2] >> 12 & 3;
		flag_tables_write();
	}
	return true;
}

bool flow_lret(uint32_t release, bool wide)
{
	uint32_t frame[2];

	return stack_items(0, frame, 2, wide) && far_return(frame[0], frame[1], 2, release, wide);
}

bool flow_ljmp(uint32_t selector, uint32_t offset)
{
	struct segment cs;

	if (!code_segment(selector & 0xffff, false, 0, &cs))
		return false;
	cs_set(&cs);
	vcpu.eip = offset;
	return true;
}

bool flow_lcall(uint32_t selector, uint32_t offset)
{
	struct segment cs;
	uint32_t frame[2] = { vcpu.eip, vcpu.cs.selector };

	if (!code_segment(selector & 0xffff, false, 0, &cs))
		return false;
	if (!stack_push(frame, 8))
		return false;
	cs_set(&cs);
	vcpu.eip = offset;
	return true;
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
