/* lar, lsl, verr, verw: what the guest's own tables say of a selector (SDM vol. 2). */
#include "monitor.h"

static bool visible(uint32_t selector, struct segment *out)
{
	uint64_t d;
	struct fault keep = machine.fault;

	selector &= 0xffff;
	if (!(selector & 0xfffc) || !descriptor_read(selector, &d)) {
		machine.fault = keep;
		return false;
	}
	segment_unpack(selector, d, out);
	bool conforming = (out->access & 0x1c) == 0x1c;
	uint32_t dpl = out->access >> 5 & 3, rpl = selector & 3;

	return conforming || (dpl >= vcpu.cpl && dpl >= rpl);
}

/* True (ZF = 1) with the access rights or the limit in `result`. */
bool query_lar_lsl(uint32_t selector, bool limit, uint32_t *result)
{
	/* System types that lar knows: TSS 16/32, LDT, call gates, task gate; lsl: those with a limit. */
	const uint32_t lar_types = 0x1a3e, lsl_types = 0x0a0e;
	struct segment segment;

	if (!visible(selector, &segment))
		return false;
	if (!(segment.access & 0x10) && !((limit ? lsl_types : lar_types) >> (segment.access & 0xf) & 1))
		return false;
	/* lar masks the descriptor's second word with 00FxFF00, where x is undefined; limit bits are kept. */
	*result = limit ? segment.limit : (segment.access & 0xf0ff) << 8;
	return true;
}

bool query_verify(uint32_t selector, bool write)
{
	struct segment segment;

	if (!visible(selector, &segment) || !(segment.access & 0x10))
		return false;
	bool code = segment.access & 8, bit = segment.access & 2;

	return write ? !code && bit : !code || bit;
}
