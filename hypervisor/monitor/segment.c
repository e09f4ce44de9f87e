/* Segment registers: what the host holds, what the guest sees, and the checks of loading them. The host's segments
 * are mirror.c's. */
#include "monitor.h"
#include "sys.h"

#define PRIVILEGE(access) ((access) >> 5 & 3)

uint32_t host_register(enum segment_register reg)
{
	uint32_t value = 0;

	if (reg == SEG_SS)
		return vcpu.host_ss;
	if (reg == SEG_CS)
		return vcpu.host_cs;
	if (machine.segments_lost)
		return reg == SEG_DS ? vcpu.host_ds : reg == SEG_ES ? vcpu.host_es :
		       reg == SEG_FS ? vcpu.host_fs : vcpu.host_gs;
	switch (reg) {
	case SEG_DS: __asm__ volatile("mov %%ds, %0" : "=r"(value)); break;
	case SEG_ES: __asm__ volatile("mov %%es, %0" : "=r"(value)); break;
	case SEG_FS: __asm__ volatile("mov %%fs, %0" : "=r"(value)); break;
	default: __asm__ volatile("mov %%gs, %0" : "=r"(value)); break;
	}
	return value;
}

void host_register_set(enum segment_register reg, uint32_t value)
{
	if (!machine.segments_lost) {
		vcpu.host_ds = host_register(SEG_DS);
		vcpu.host_es = host_register(SEG_ES);
		vcpu.host_fs = host_register(SEG_FS);
		vcpu.host_gs = host_register(SEG_GS);
		machine.segments_lost = 1;
	}
	switch (reg) {
	case SEG_CS: vcpu.host_cs = value | 3; break;
	case SEG_SS: vcpu.host_ss = value | 3; host_ss_lost = 1; break;
	case SEG_DS: vcpu.host_ds = value; break;
	case SEG_ES: vcpu.host_es = value; break;
	case SEG_FS: vcpu.host_fs = value; break;
	default: vcpu.host_gs = value; break;
	}
}

bool segment_usable(uint32_t host)
{
	return is_null(host) || (host & 4 && machine.ldt_wanted[host >> 3]);
}

uint32_t segment_selector(enum segment_register reg)
{
	if (reg == SEG_CS)
		return vcpu.cs.selector;
	if (reg == SEG_SS)
		return vcpu.ss.selector;
	return shown_selector(host_register(reg));
}

void segment_unpack(uint32_t selector, uint64_t d, struct segment *out)
{
	out->selector = selector;
	out->base = desc_base(d);
	out->limit = desc_limit(d);
	out->access = (uint32_t)(d >> 40) & 0xffff;
}

/* Are `bytes` at `offset` within the segment? (SDM vol. 3, 5.3) */
bool segment_reaches(const struct segment *s, uint32_t offset, uint32_t bytes)
{
	uint32_t last = offset + bytes - 1, top = s->access & ACCESS_BIG ? ~0u : 0xffff;
	bool down = !(s->access & ACCESS_CODE) && s->access & ACCESS_EXPAND_DOWN;

	return s->access & ACCESS_P && last >= offset && (down ? offset > s->limit && last <= top : last <= s->limit);
}

void segment_of(enum segment_register reg, struct segment *out)
{
	if (reg == SEG_CS) {
		*out = vcpu.cs;
	} else if (reg == SEG_SS) {
		*out = vcpu.ss;
	} else {
		uint32_t host = host_register(reg);

		if (host & 4 && !is_null(host))
			segment_unpack(shown_selector(host), machine.ldt_source[host >> 3], out);
		else
			*out = (struct segment){ shown_selector(host), 0, 0, 0 };
	}
}

/* The descriptor that `selector` names in the guest's tables; #GP(selector) raised where there is none. */
bool descriptor_read(uint32_t selector, uint64_t *descriptor)
{
	uint32_t base = vcpu.gdt_base, limit = vcpu.gdt_limit;

	if (selector & 4) {
		base = vcpu.ldtr.base;
		limit = vcpu.ldtr.selector & 0xfffc ? vcpu.ldtr.limit : 0;
	}
	if ((selector & 0xfff8) + 7 > limit)
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	return guest_read(base + (selector & 0xfff8), descriptor, 8, 0);
}

void cs_set(const struct segment *cs)
{
	vcpu.cs = *cs;
	vcpu.cpl = cs->selector & 3;
	vcpu.host_cs = host_selector(cs->selector) | 3;
	shared.cs = cs->selector;
	patches_follow_code_segment();
}

void ss_set(const struct segment *ss)
{
	vcpu.ss = *ss;
	vcpu.host_ss = host_selector(ss->selector) | 3;
	host_ss_lost = 1;
	shared.ss = ss->selector;
}

/* The register shows `selector`, but there is no segment behind it yet: every access through it faults. */
void segment_invalidate(enum segment_register reg, uint32_t selector)
{
	struct segment segment = { selector, 0, 0, 0 };

	if (reg == SEG_CS) {
		cs_set(&segment);
		vcpu.host_cs = 0;
	} else if (reg == SEG_SS) {
		ss_set(&segment);
		vcpu.host_ss = 0;
	} else if (selector & 0xfffc) {
		host_register_invalidate(reg, selector);
	} else {
		host_register_set(reg, host_selector(selector));
	}
}

static bool load_ss(uint32_t selector)
{
	uint64_t d;
	struct segment s;

	if (!(selector & 0xfffc))
		return raise_fault(VECTOR_GP, 0);
	if (!descriptor_read(selector, &d))
		return false;
	segment_unpack(selector, d, &s);
	if ((selector & 3) != vcpu.cpl || PRIVILEGE(s.access) != vcpu.cpl ||
	    (s.access & (ACCESS_S | ACCESS_CODE | ACCESS_WRITABLE)) != (ACCESS_S | ACCESS_WRITABLE))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (!(s.access & ACCESS_P))
		return raise_fault(VECTOR_SS, selector & 0xfffc);
	if (!mirror_entry(selector, d))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	ss_set(&s);
	return true;
}

static bool is_conforming(uint32_t access) { return access & ACCESS_CODE && access & ACCESS_CONFORMING; }

/* mov or pop to a segment register other than CS, with all checks (SDM vol. 2, MOV). */
bool segment_load(enum segment_register reg, uint32_t selector)
{
	uint64_t d;
	struct segment s;

	selector &= 0xffff;
	if (reg == SEG_SS)
		return load_ss(selector);
	if (!(selector & 0xfffc)) {
		host_register_set(reg, host_selector(selector));
		return true;
	}
	if (!descriptor_read(selector, &d))
		return false;
	segment_unpack(selector, d, &s);
	uint32_t rpl = selector & 3, level = rpl > vcpu.cpl ? rpl : vcpu.cpl;
	bool unreadable = s.access & ACCESS_CODE && !(s.access & ACCESS_WRITABLE);

	if (!(s.access & ACCESS_S) || unreadable || (!is_conforming(s.access) && PRIVILEGE(s.access) < level))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	if (!(s.access & ACCESS_P))
		return raise_fault(VECTOR_NP, selector & 0xfffc);
	if (!mirror_entry(selector, d))
		return raise_fault(VECTOR_GP, selector & 0xfffc);
	host_register_set(reg, data_selector(selector));
	return true;
}

/* After a return to an outer ring: data segments that are too privileged become null (SDM vol. 2,
 * IRET), and widened ones are cut again. */
void segments_after_return(void)
{
	static const enum segment_register data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t host = host_register(data[i]);

		if (!host)
			continue;
		if (is_null(host)) {
			host_register_set(data[i], 0);
			continue;
		}
		uint64_t d = machine.ldt_source[host >> 3];
		uint32_t access = (uint32_t)(d >> 40) & 0xff;

		if (!is_conforming(access) && PRIVILEGE(access) < vcpu.cpl) {
			host_register_set(data[i], 0);
		} else if (is_ghost(host) || is_whole(host)) {
			uint32_t normal = host_selector(shown_selector(host));

			if (machine.ldt_source[normal >> 3] == d)
				host_register_set(data[i], normal);
		}
	}
}
