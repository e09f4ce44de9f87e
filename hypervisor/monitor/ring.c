/* What a transfer between segments and rings is made of: the code segment that it goes to, the stack that an inner
 * ring has in the TSS, the frame on it, and the way out again (SDM vol. 3, 5.8). */
#include "monitor.h"

#define ITEMS_MAX 35 /* a call gate's: return address, 31 parameters, stack pointer */

static uint32_t dpl(const struct segment *s) { return s->access >> 5 & 3; }
static bool is_code(const struct segment *s) { return (s->access & (ACCESS_S | ACCESS_CODE)) == (ACCESS_S | ACCESS_CODE); }

static bool is_stack(const struct segment *s)
{
	return (s->access & (ACCESS_S | ACCESS_CODE | ACCESS_WRITABLE)) == (ACCESS_S | ACCESS_WRITABLE);
}

/* The code segment of a transfer that may not change the ring, or, through a gate, may go inward; with the
 * selector that CS gets. */
bool transfer_target(uint32_t selector, enum transfer how, struct segment *out)
{
	uint64_t d;

	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (!descriptor_read(selector, &d))
		return false;
	segment_unpack(selector, d, out);
	bool conforming = out->access & ACCESS_CONFORMING;

	if (!is_code(out) || dpl(out) > vcpu.cpl ||
	    (!conforming && how != TRANSFER_INWARD && dpl(out) != vcpu.cpl) ||
	    (!conforming && how == TRANSFER_DIRECT && (selector & 3) > vcpu.cpl))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (!(out->access & ACCESS_P))
		return raise_fault(VECTOR_NP, selector & 0xfffc);
	if (!mirror_entry(selector, d))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	out->selector = (selector & 0xfffc) | (conforming ? vcpu.cpl : dpl(out));
	return true;
}

/* Go on at `eip` in `cs`; #GP(0) where that is beyond its end. */
bool transfer_to(const struct segment *cs, uint32_t eip)
{
	if (eip > cs->limit)
		return raise_fault(VECTOR_GP, 0);
	cs_set(cs);
	vcpu.eip = trampoline_eip(eip);
	return true;
}

/* Like `descriptor_read`, for a selector that a TSS holds. */
bool task_descriptor(uint32_t selector, uint64_t *d)
{
	if (selector & 0xfffc && descriptor_read(selector, d))
		return true;
	return selector & 0xfffc && machine.fault.vector != VECTOR_GP ? false :
	       raise_fault(VECTOR_TS, selector & 0xfffc);
}

/* A stack segment for ring `level`, from a TSS (SDM vol. 2, CALL). */
bool task_stack(uint32_t selector, uint32_t level, struct segment *out)
{
	uint64_t d;

	if (!task_descriptor(selector, &d))
		return false;
	segment_unpack(selector, d, out);
	if ((selector & 3) != level || dpl(out) != level || !is_stack(out))
		return raise_fault(VECTOR_TS, selector & 0xfffc);
	if (!(out->access & ACCESS_P) || !mirror_entry(selector, d))
		return raise_fault(VECTOR_SS, selector & 0xfffc);
	return true;
}

/* The stack that the TSS has for inner ring `level`. */
bool inner_stack(uint32_t level, struct segment *ss, uint32_t *esp)
{
	bool wide = vcpu.tr.access & TSS_WIDE;
	uint32_t offset = wide ? 4 + level * 8 : 2 + level * 4, size = wide ? 6 : 4;
	uint16_t slot[3] = { 0, 0, 0 };

	if (!(vcpu.tr.selector & 0xfffc) || offset + size - 1 > vcpu.tr.limit)
		return raise_fault(VECTOR_TS, vcpu.tr.selector & 0xfffc);
	if (!guest_read(vcpu.tr.base + offset, slot, size, 0))
		return false;
	*esp = slot[0] | (wide ? (uint32_t)slot[1] << 16 : 0);
	return task_stack(slot[wide ? 2 : 1], level, ss);
}

/* Push `items`, of which the first ends up lowest, as 32 or 16 bits on the stack of ring `level` at `esp`, which
 * moves. #SS(`error`) where there is no room. */
bool frame_push(const struct segment *ss, uint32_t *esp, uint32_t level, const uint32_t *items, uint32_t count,
		bool wide, uint32_t error)
{
	uint32_t bytes = count * (wide ? 4 : 2), offset = *esp - bytes;
	uint16_t words[ITEMS_MAX];
	bool big = ss->access & ACCESS_BIG;

	if (!big)
		offset &= 0xffff;
	if (!segment_reaches(ss, offset, bytes))
		return raise_fault(VECTOR_SS, error);
	if (!wide)
		for (uint32_t i = 0; i < count; i++)
			words[i] = (uint16_t)items[i];
	if (!guest_write(ss->base + offset, wide ? (const void *)items : words, bytes, level == 3 ? ACCESS_USER : 0))
		return false;
	*esp = big ? offset : (*esp & 0xffff0000u) | offset;
	return true;
}

/* Ring 3 begins (or goes on): take away what it must not see. */
void enter_outer(void)
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

	if (!is_code(cs) || (conforming ? dpl(cs) > rpl : dpl(cs) != rpl))
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
	if ((ss_selector & 3) != rpl || dpl(ss) != rpl || !is_stack(ss))
		return raise_fault(VECTOR_GP, ss_selector & 0xfffc);
	if (!(ss->access & ACCESS_P) || !mirror_entry(ss_selector, d))
		return raise_fault(VECTOR_SS, ss_selector & 0xfffc);
	return true;
}

/* Read `count` stack items `skip` bytes above the pointer, widened to 32 bits. */
bool stack_items(uint32_t skip, uint32_t *items, uint32_t count, bool wide)
{
	if (!stack_read(skip, items, count * (wide ? 4 : 2)))
		return false;
	if (!wide)
		for (uint32_t i = count; i-- > 0;)
			items[i] = ((uint16_t *)items)[i];
	return true;
}

/* To the same or an outer ring: the shared end of iret and lret. `popped` items have been read, `release` are
 * argument bytes of lret n. */
bool far_return(uint32_t eip, uint32_t selector, uint32_t popped, uint32_t release, bool wide)
{
	struct segment cs, ss;
	uint32_t rpl = selector & 3, bytes = popped * (wide ? 4 : 2) + release, outer[2];

	selector &= 0xffff;
	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (rpl < vcpu.cpl)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (rpl == vcpu.cpl) {
		if (!transfer_target(selector, TRANSFER_DIRECT, &cs) || !transfer_to(&cs, eip))
			return false;
		stack_release((int32_t)bytes);
		return true;
	}
	if (release && bytes > 0xffff)
		return raise_fault(VECTOR_GP, 0);
	if (!stack_items(bytes, outer, 2, wide) || !outer_segments(selector, outer[1] & 0xffff, &cs, &ss))
		return false;
	if (!transfer_to(&cs, eip))
		return false;
	ss_set(&ss);
	vcpu.esp = outer[0] + release;
	enter_outer();
	return true;
}
