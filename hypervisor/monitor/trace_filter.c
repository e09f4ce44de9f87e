/* Which records are wanted. The filter is the VMM's, and may change at any moment. */
#include "monitor.h"

#define filter (&control.trace_filter)

static bool bit_of(const uint32_t *bits, uint32_t n) { return bits[n >> 5] >> (n & 31) & 1; }

static bool port_wanted(uint32_t port)
{
	return filter->ports && bit_of((uint32_t *)(state + TRACE_PORTS_OFFSET), port & 0xffff);
}

static bool address_wanted(uint32_t address)
{
	for (uint32_t i = 0; i < filter->addresses && i < 8; i++)
		if (address - filter->address[i].first <= filter->address[i].last - filter->address[i].first)
			return true;
	return false;
}

static bool caller_wanted(uint32_t eip)
{
	uint32_t low = 0, high = filter->callers < 512 ? filter->callers : 512;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (filter->caller[middle].last < eip)
			low = middle + 1;
		else
			high = middle;
	}
	return low < 512 && low < filter->callers && filter->caller[low].first <= eip;
}

static bool space_wanted(uint32_t cr3)
{
	for (uint32_t i = 0; i < filter->spaces && i < 8; i++)
		if (filter->space[i] == cr3)
			return true;
	return false;
}

static bool call_wanted(const struct trace_record *r)
{
	bool immediate = r->number >= HC_IN8_IMM && r->number <= HC_OUT32_IMM;

	return bit_of(filter->calls, r->number) ||
	       (r->number >= HC_IN8 && r->number <= HC_REP_OUTS32 &&
		port_wanted(immediate ? r->operand[0] & 0xff : r->args[3]));
}

static bool exit_wanted(const struct trace_record *r)
{
	if (filter->exits >> (r->number & 31) & 1)
		return true;
	switch (r->number) {
	case EXIT_PORT_IN: case EXIT_PORT_OUT: case EXIT_STRING_IN: case EXIT_STRING_OUT: return port_wanted(r->args[0]);
	case EXIT_MMIO_READ: case EXIT_MMIO_WRITE: return address_wanted(r->args[1]);
	default: return false;
	}
}

bool trace_wanted(const struct trace_record *r)
{
	if (!filter->active)
		return true;
	if (!(filter->rings >> (r->cpl & 3) & 1) || (filter->callers && !caller_wanted(r->eip)) ||
	    (filter->spaces && !space_wanted(r->cr3)))
		return false;
	if (filter->whole >> r->kind & 1)
		return true;
	switch (r->kind) {
	case TRACE_HYPERCALL: return call_wanted(r);
	case TRACE_EXIT: return exit_wanted(r);
	case TRACE_INTERRUPT: return bit_of(filter->vectors, r->number);
	case TRACE_EXCEPTION: return filter->exceptions >> (r->number & 31) & 1;
	case TRACE_DEVICE:
		return r->number >= ACCESSED_PORT_IN ? port_wanted(r->args[0]) : address_wanted(r->args[0]);
	default: return false;
	}
}
