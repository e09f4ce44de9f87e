/* One sensitive operation, however it arrived: by a gate with carried operands (hypercall.c) or by a
 * trap that was decoded (emulate.c). Each returns false with an exception noted. */
#include "monitor.h"

static const enum segment_register segment_order[5] = { SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS };
static const enum segment_register store_order[6] = { SEG_CS, SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS };

static void set_zf(bool on)
{
	vcpu.eflags = (vcpu.eflags & ~FLAG_ZF) | (on ? FLAG_ZF : 0);
}

/* hlt: idle until an interrupt is deliverable. */
static bool halt(void)
{
	if (!is_privileged())
		return false;
	if (!interrupts_on())
		guest_ends(EXIT_DEAD_HALT, 0);
	for (;;) {
		devices_poll();
		if (irq_waits())
			break;
		if (debugger.request) { /* it halts again when it goes on */
			vcpu.eip = machine.instruction_eip;
			break;
		}
		idle();
	}
	machine.events = 1;
	return true;
}

static bool safe_halt(void)
{
	if (vcpu.cpl > vcpu.iopl || vcpu.cpl)
		return raise_fault(VECTOR_GP, 0);
	vif_set(true);
	return halt();
}

/* What inline popf has left to do: IOPL, by the mask that its table gave, and interrupts. */
void popf_settle(void)
{
	uint32_t mask = shared.upcall_mask;

	if (mask & 0x80) {
		vif_set(!(mask & 1));
		if (vcpu.cpl == 0)
			iopl_set(mask >> 1 & 3);
	}
	machine.events = 1;
}

/* The slow half of sti and popf. Only sti lets one more instruction run. */
static bool deliver_pending(void)
{
	if (sequence_is_sti())
		machine.shadow = true;
	popf_settle();
	return true;
}

static bool push_flags16(void)
{
	uint16_t flags = (uint16_t)flags_for_guest();

	return stack_push(&flags, 2);
}

static bool pop_flags16(void)
{
	uint16_t flags = 0;

	if (!stack_pop(&flags, 2))
		return false;
	flags_from_guest(flags, 0x7fd5);
	return true;
}

static bool port_operation(const struct call *call)
{
	static const uint8_t sizes[3] = { 1, 2, 4 };
	uint32_t index = call->number - HC_IN8, size = sizes[index % 3], kind = index / 3;
	uint32_t port = kind >= 2 && kind < 4 ? call->immediate & 0xff : vcpu.edx & 0xffff;

	if (!port_allowed(port, size))
		return false;
	if (machine.watching_ports)
		debug_port(port, size);
	switch (kind) {
	case 0: case 2: register_write(0, size, port_in(port, size)); return true;
	case 1: case 3: port_out(port, size, register_read(0, size)); return true;
	default: return port_string(kind == 4 || kind == 6, size, kind >= 6, call->segment, call->address_size);
	}
}

static bool store_table_register(const struct operand *operand, uint32_t base, uint32_t limit)
{
	uint32_t linear;
	uint8_t image[6];

	memcpy(image, &limit, 2);
	memcpy(image + 2, &base, 4);
	return operand_linear(operand, 6, true, &linear) &&
	       guest_write(linear, image, 6, vcpu.cpl == 3 ? ACCESS_USER : 0);
}

/* sldt, str, mov from a segment register, smsw: 16 bits to memory, zero-extended to a 32-bit register. */
static bool store_selector(const struct operand *operand, uint32_t value)
{
	return operand_write(operand, operand->memory ? 2 : operand->size, value);
}

static bool load_table(const struct call *call)
{
	uint32_t linear;

	if (!is_privileged())
		return false;
	if (!call->a.memory)
		return raise_plain(VECTOR_UD);
	return operand_linear(&call->a, 6, false, &linear) &&
	       load_table_register(call->number == HC_LGDT, linear, call->a.size == 2);
}

static bool query(const struct call *call)
{
	uint32_t selector, result;

	if (!operand_read(&call->a, 2, &selector))
		return false;
	if (call->number >= HC_VERR) {
		set_zf(query_verify(selector, call->number == HC_VERW));
		return true;
	}
	bool found = query_lar_lsl(selector, call->number == HC_LSL, &result);

	if (found)
		operand_write(&call->b, call->b.size, result);
	set_zf(found);
	return true;
}

static bool adjust_rpl(const struct call *call)
{
	uint32_t selector, rpl;

	/* It reads its operand to write it. */
	if (!operand_probe_write(&call->a, 2) || !operand_read(&call->a, 2, &selector) ||
	    !operand_read(&call->b, 2, &rpl))
		return false;
	bool raise = (selector & 3) < (rpl & 3);

	if (raise && !operand_write(&call->a, 2, (selector & ~3u) | (rpl & 3)))
		return false;
	set_zf(raise);
	return true;
}

/* No interrupt before the instruction behind a load of SS has run (SDM vol. 3, 6.8.3). */
static bool load_segment(enum segment_register reg, uint32_t selector)
{
	if (!segment_load(reg, selector))
		return false;
	if (reg == SEG_SS)
		machine.shadow = machine.stack_loaded = true;
	return true;
}

static bool load_far_pointer(const struct call *call)
{
	uint32_t linear, offset = 0, selector = 0, size = call->b.size;

	if (!call->a.memory)
		return raise_plain(VECTOR_UD);
	if (!operand_linear(&call->a, size + 2, false, &linear) || !memory_read(linear, size, &offset) ||
	    !memory_read(linear + size, 2, &selector) ||
	    !load_segment(segment_order[call->number - HC_LDS], selector))
		return false;
	register_write(call->b.reg, size, offset);
	return true;
}

/* The operand size of a far transfer without a memory operand; gates stand for 32-bit ones. */
static bool is_wide(const struct call *call) { return call->b.size != 2; }

static bool far_by_memory(const struct call *call, bool returns)
{
	uint32_t linear, offset = 0, selector = 0, size = call->a.size;

	if (!call->a.memory)
		return raise_plain(VECTOR_UD);
	if (!operand_linear(&call->a, size + 2, false, &linear) || !memory_read(linear, size, &offset) ||
	    !memory_read(linear + size, 2, &selector))
		return false;
	return returns ? flow_lcall(selector, offset, size == 4) : flow_ljmp(selector, offset);
}

static bool pop_ss(uint32_t size)
{
	uint32_t selector = 0;

	/* The pointer moves first: how far it can is the old segment's business. */
	if (!stack_read(0, &selector, 2))
		return false;
	stack_release((int32_t)size);
	if (load_segment(SEG_SS, selector))
		return true;
	stack_release(-(int32_t)size);
	return false;
}

static bool control_register(const struct call *call)
{
	static const uint8_t numbers[4] = { 0, 2, 3, 4 };
	uint32_t value;

	return operand_read(&call->a, 4, &value) && write_cr(numbers[call->number - HC_WRITE_CR0], value);
}

static bool load_machine_status(const struct call *call)
{
	uint32_t value;

	if (!is_privileged() || !operand_read(&call->a, 2, &value))
		return false;
	return write_cr(0, (shared.cr0 & ~0xeu) | (value & 0xf));
}

static bool invalidate_page(const struct call *call)
{
	struct segment segment;

	if (!is_privileged())
		return false;
	if (!call->a.memory)
		return raise_plain(VECTOR_UD);
	segment_of(call->a.segment, &segment);
	vtlb_drop(segment.base + call->a.offset);
	return true;
}

static bool selector_load(const struct call *call, bool (*load)(uint32_t))
{
	uint32_t selector;

	return is_privileged() && operand_read(&call->a, 2, &selector) && load(selector);
}

bool operation_run(const struct call *call)
{
	uint32_t n = call->number;

	switch (n) {
	case HC_NULL: return true;
	case HC_TRACE_MARK: return trace_mark();
	case HC_COVERED: return sequence_covered();
	case HC_DEVICE_ACCESS: return emulate_next();
	case HC_IRET: return flow_iret(true);
	case HC_IRET16: return flow_iret(false);
	case HC_INT: return flow_int(call->immediate & 0xff);
	case HC_IN8 ... HC_REP_OUTS32: return port_operation(call);
	case HC_DELIVER_PENDING: return deliver_pending();
	case HC_SAFE_HALT: return safe_halt();
	case HC_HALT: return halt();
	case HC_PUSHF16: return push_flags16();
	case HC_POPF16: return pop_flags16();
	case HC_WRITE_CR0 ... HC_WRITE_CR4: return control_register(call);
	case HC_LMSW: return load_machine_status(call);
	case HC_SMSW: return operand_write(&call->a, call->a.memory ? 2 : call->a.size, shared.cr0);
	case HC_CLTS: return is_privileged() && write_cr(0, shared.cr0 & ~CR0_TS);
	case HC_READ_DR0 ... HC_READ_DR7: return debug_register(false, n - HC_READ_DR0, &call->a);
	case HC_WRITE_DR0 ... HC_WRITE_DR7: return debug_register(true, n - HC_WRITE_DR0, &call->a);
	case HC_LGDT: case HC_LIDT: return load_table(call);
	case HC_LLDT: return selector_load(call, load_ldtr);
	case HC_LTR: return selector_load(call, load_tr);
	case HC_SGDT: return store_table_register(&call->a, vcpu.gdt_base, vcpu.gdt_limit);
	case HC_SIDT: return store_table_register(&call->a, vcpu.idt_base, vcpu.idt_limit);
	case HC_SLDT: return store_selector(&call->a, vcpu.ldtr.selector);
	case HC_STR: return store_selector(&call->a, vcpu.tr.selector);
	case HC_LAR: case HC_LSL: case HC_VERR: case HC_VERW: return query(call);
	case HC_ARPL: return adjust_rpl(call);
	case HC_LOAD_DS ... HC_LOAD_GS: {
		uint32_t selector;

		return operand_read(&call->a, 2, &selector) && load_segment(segment_order[n - HC_LOAD_DS], selector);
	}
	case HC_STORE_CS ... HC_STORE_GS: return store_selector(&call->a, segment_selector(store_order[n - HC_STORE_CS]));
	case HC_LDS ... HC_LGS: return load_far_pointer(call);
	case HC_POP_SS: return pop_ss(4);
	case HC_POPW_SS: return pop_ss(2);
	case HC_LJMP: return flow_ljmp(call->immediate2, call->immediate);
	case HC_LCALL: return flow_lcall(call->immediate2, call->immediate, is_wide(call));
	case HC_LJMP_MEM: return far_by_memory(call, false);
	case HC_LCALL_MEM: return far_by_memory(call, true);
	case HC_LRET: return flow_lret(0, true);
	case HC_LRET_N: return flow_lret(call->immediate & 0xffff, is_wide(call));
	case HC_LRET16: return flow_lret(0, false);
	case HC_SYSENTER: return cpu_has(CPU_SEP) ? flow_sysenter() : raise_plain(VECTOR_UD);
	case HC_SYSEXIT: return cpu_has(CPU_SEP) ? flow_sysexit() : raise_plain(VECTOR_UD);
	case HC_INVLPG: return invalidate_page(call);
	case HC_RDMSR: return read_msr();
	case HC_WRMSR: return write_msr();
	case HC_RDPMC: return raise_fault(VECTOR_GP, 0);
	case HC_CPUID: virtual_cpuid(); return true;
	default: return raise_plain(VECTOR_UD);
	}
}
