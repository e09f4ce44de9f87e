/* The short way into the kernel and out of it: `int n` from ring 3 and `iret` to ring 3 in the ordinary
 * case (flat segments, tables as they were last time). A system call is these two and nothing else.
 *
 * Guest tables and stacks are touched where the host has them mapped. A fault here (signal.c knows the
 * section) starts the hypercall again on the long way, so nothing of the vCPU may change before all
 * guest accesses are done. Whatever is not ordinary returns false and takes the long way too. */
#include "monitor.h"
#include "sys.h"

#define FAST __attribute__((section(".text.fast")))
#define TYPE(d) ((uint32_t)((d) >> 40) & 0xfe) /* present, DPL, S, type without "accessed" */

enum { KERNEL_CODE = 0x9a, KERNEL_DATA = 0x92, USER_CODE = 0xfa, USER_DATA = 0xf2 };
enum { GATE_INTERRUPT = 0xee00, GATE_TRAP = 0xef00 };

#define BIG (1ull << 54)
#define BASE_BITS 0xff0000ffffff0000ull

static inline __attribute__((always_inline)) uint32_t load(uint32_t linear)
{
	return *(volatile uint32_t *)(uint64_t)(uint32_t)(linear + control.slide);
}

static inline __attribute__((always_inline)) void store(uint32_t linear, uint32_t value)
{
	*(volatile uint32_t *)(uint64_t)(uint32_t)(linear + control.slide) = value;
}

/* A segment that was unpacked before: the same selector and descriptor give the same hidden part. */
struct known {
	uint64_t descriptor;
	struct segment segment;
};
static struct known kernel_cs, kernel_ss, user_cs, user_ss;

/* The descriptor is flat, of `type`, and mirrored as it stands in the guest's table. */
static inline __attribute__((always_inline)) bool recognise(uint32_t selector, uint32_t type, struct known *known)
{
	uint32_t index = selector >> 3;

	if (selector & 4 || index - 1 >= GDT_LOW - 1 || index * 8 + 7 > vcpu.gdt_limit)
		return false;
	uint64_t d = load(vcpu.gdt_base + index * 8) | (uint64_t)load(vcpu.gdt_base + index * 8 + 4) << 32;

	if (d != machine.ldt_source[index] || TYPE(d) != type || !machine.ldt_wanted[index])
		return false;
	if (known->descriptor == d && known->segment.selector == selector)
		return true;
	if (d & BASE_BITS || !(d & BIG))
		return false;
	known->descriptor = d;
	segment_unpack(selector, d, &known->segment);
	return true;
}

static inline __attribute__((always_inline)) void enter(const struct known *cs, const struct known *ss)
{
	vcpu.cs = cs->segment;
	vcpu.ss = ss->segment;
	vcpu.cpl = cs->segment.selector & 3;
	vcpu.host_cs = cs->segment.selector | 7;
	vcpu.host_ss = ss->segment.selector | 7;
	shared.cs = cs->segment.selector;
	shared.ss = ss->segment.selector;
	host_ss_lost = 1;
}

/* The guest's stack: return address of the gate. The vector is behind the gate, in a push, and then a jump back. */
FAST bool fast_int(void)
{
	enum { PUSH_IMM8 = 0x6a, PUSH_IMM32 = 0x68 };
	enum { BACK8 = 0xeeeb, BACK32 = 0xebeb }; /* jmp by -18, by -21 (hypercall.c) */
	uint32_t esp = vcpu.esp;

	if (vcpu.cpl != 3 || vcpu.ss.base || vcpu.cs.base || !machine.user_limit || esp > machine.user_limit - 4)
		return false;
	uint32_t eip = load(esp);

	if (eip > machine.user_limit - 12)
		return false;
	uint32_t push = load(eip), vector = push >> 8 & 0xff;

	if ((push & 0xff) == PUSH_IMM8)
		eip += push >> 16 == BACK8 ? 4 : 2;
	else if ((push & 0xff) == PUSH_IMM32)
		eip += (load(eip + 5) & 0xffff) == BACK32 ? 7 : 5;
	else
		return false;
	if (vector * 8 + 7 > vcpu.idt_limit)
		return false;
	uint32_t gate_low = load(vcpu.idt_base + vector * 8), gate_high = load(vcpu.idt_base + vector * 8 + 4);
	uint32_t type = gate_high & 0xff00;

	if ((type != GATE_INTERRUPT && type != GATE_TRAP) || gate_low >> 16 & 3 || machine.inner_stacks < 11 ||
	    !recognise(gate_low >> 16, KERNEL_CODE, &kernel_cs))
		return false;
	uint32_t stack = load(vcpu.tr.base + 4) - 20, ss = load(vcpu.tr.base + 8) & 0xffff;

	if (ss & 3 || !recognise(ss, KERNEL_DATA, &kernel_ss))
		return false;
	store(stack, eip);
	store(stack + 4, vcpu.cs.selector);
	store(stack + 8, flags_for_guest());
	store(stack + 12, esp + 4);
	store(stack + 16, vcpu.ss.selector);
	/* Committed. */
	vcpu.esp = stack;
	vcpu.eip = (gate_low & 0xffff) | (gate_high & 0xffff0000u);
	vcpu.eflags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC);
	if (type == GATE_INTERRUPT)
		shared.upcall_mask = 1;
	enter(&kernel_cs, &kernel_ss);
	return true;
}

/* A host selector that ring 3 may keep: null, or a GDT entry loaded with RPL 3 (so of DPL 3). */
static inline __attribute__((always_inline)) bool user_may_keep(uint32_t host)
{
	return !(host & 0xfffc) || ((host & 7) == 7 && host < GDT_LOW << 3);
}

static inline __attribute__((always_inline)) bool data_segments_stay(void)
{
	uint32_t ds, es, fs, gs;

	__asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
			 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	return user_may_keep(ds) && user_may_keep(es) && user_may_keep(fs) && user_may_keep(gs);
}

/* The guest's stack: return address of the gate, then the frame. */
FAST bool fast_iret(void)
{
	uint32_t frame = vcpu.esp + 4;
	const uint32_t plain = 0x254dd5 & ~(FLAG_IF | FLAG_IOPL | FLAG_RF);

	if (vcpu.cpl != 0 || vcpu.ss.base || vcpu.eflags & FLAG_NT || machine.segments_lost || machine.refill_valid ||
	    machine.fpu_due || machine.watching_code || !machine.user_limit || !vtlb_user_is_clean())
		return false;
	uint32_t eip = load(frame), cs = load(frame + 4) & 0xffff, flags = load(frame + 8);
	uint32_t esp = load(frame + 12), ss = load(frame + 16) & 0xffff;

	if ((cs & ss & 3) != 3 || flags & FLAG_VM || (flags >> 12 & 3) != vcpu.iopl || !(flags & FLAG_IF) ||
	    !shared.not_pending || !recognise(cs, USER_CODE, &user_cs) || !recognise(ss, USER_DATA, &user_ss) ||
	    !data_segments_stay())
		return false;
	vcpu.eip = eip;
	vcpu.esp = esp;
	vcpu.eflags = (vcpu.eflags & ~plain) | (flags & plain);
	shared.upcall_mask = 0;
	enter(&user_cs, &user_ss);
	return true;
}
