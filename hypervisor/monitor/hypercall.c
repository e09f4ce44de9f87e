/* Hypercalls: arrival by a gate. */
#include "monitor.h"

enum { XEN_ENOSYS = 38, XEN_EFAULT = 14, XEN_EINVAL = 22 };
enum { GATE_BYTES = 7 /* call *%cs:table */, FAR_GATE_BYTES = 14 /* jmp, ljmp, call */ };

/* Operand forms by number, from the contract's table. */
static const uint8_t operand_form[256] = { HC_OPERAND_FORMS };

static bool carried_operand(uint32_t *eip, struct operand *out, enum segment_register *segment)
{
	struct instruction carrier;

	if (!decode(*eip, &carrier))
		return false;
	if (carrier.opcode_map != 1 || carrier.opcode != 0x1f)
		return raise_plain(VECTOR_UD);
	*out = carrier.rm;
	*segment = carrier.rm.segment;
	*eip += carrier.length;
	return true;
}

/* An immediate in a push behind the gate; the guest goes on behind it. */
static bool carried_immediate(uint32_t *value)
{
	enum { PUSH_IMM8 = 0x6a, PUSH_IMM32 = 0x68 };
	uint32_t linear = vcpu.cs.base + vcpu.eip, access = vcpu.cpl == 3 ? ACCESS_USER : 0;
	uint8_t opcode;
	int8_t narrow;

	if (!guest_read(linear, &opcode, 1, access))
		return false;
	if (opcode == PUSH_IMM8) {
		if (!guest_read(linear + 1, &narrow, 1, access))
			return false;
		*value = (uint32_t)narrow;
		vcpu.eip += 2;
		return true;
	}
	if (opcode != PUSH_IMM32)
		return raise_plain(VECTOR_UD);
	vcpu.eip += 5;
	return guest_read(linear + 1, value, 4, access);
}

static bool collect(struct call *call)
{
	uint32_t eip = vcpu.eip;
	enum segment_register segment;

	call->segment = SEG_DS;
	call->address_size = 4;
	switch (operand_form[call->number]) {
	case FORM_CARRIER2:
		if (!carried_operand(&eip, &call->a, &call->segment) || !carried_operand(&eip, &call->b, &segment))
			return false;
		vcpu.eip = eip; /* the instruction ends behind what carries its operands */
		return true;
	case FORM_CARRIER:
		if (!carried_operand(&eip, &call->a, &call->segment))
			return false;
		vcpu.eip = eip;
		return true;
	case FORM_IMMEDIATE:
		return carried_immediate(&call->immediate);
	case FORM_IMMEDIATE2:
		return carried_immediate(&call->immediate) && carried_immediate(&call->immediate2);
	default:
		return true;
	}
}

static uint32_t update_descriptor(void)
{
	uint64_t descriptor = (uint64_t)vcpu.esi << 32 | vcpu.edx;

	if (vcpu.ecx || vcpu.ebx & 7 || !is_ram(vcpu.ebx))
		return (uint32_t)-XEN_EINVAL;
	memcpy(ram + vcpu.ebx, &descriptor, 8);
	mirror_table();
	return 0;
}

static uint32_t xen_version(void)
{
	static const char extra[] = "-ring3";

	if (vcpu.ebx == 0)
		return ABI_VERSION << 16;
	if (vcpu.ebx != 1)
		return (uint32_t)-XEN_ENOSYS;
	return guest_write(vcpu.ecx, extra, sizeof(extra), 0) ? 0 : (uint32_t)-XEN_EFAULT;
}

static uint32_t console_io(void)
{
	uint32_t done = 0;
	uint8_t byte;

	if (vcpu.ebx > 1)
		return (uint32_t)-XEN_ENOSYS;
	for (; done < vcpu.ecx && done < CONSOLE_OUT_SIZE; done++) {
		if (vcpu.ebx == 0) {
			if (!guest_read(vcpu.edx + done, &byte, 1, 0))
				return (uint32_t)-XEN_EFAULT;
			serial_put(0, byte);
		} else {
			if (!guest_probe_write(vcpu.edx + done, 1, 0))
				return (uint32_t)-XEN_EFAULT;
			if (!serial_get(0, &byte))
				break;
			guest_write(vcpu.edx + done, &byte, 1, 0);
		}
	}
	return done;
}

static bool sched_op(void)
{
	struct call block = { .number = HC_SAFE_HALT };

	if (vcpu.ebx == 2)
		guest_ends(EXIT_SHUTDOWN, vcpu.ecx);
	vcpu.eax = vcpu.ebx > 2 ? (uint32_t)-XEN_ENOSYS : 0;
	return vcpu.ebx != 1 || operation_run(&block);
}

static bool xen_call(uint32_t number)
{
	if (!is_privileged())
		return false;
	switch (number) {
	case HC_UPDATE_DESCRIPTOR: vcpu.eax = update_descriptor(); return true;
	case HC_XEN_VERSION: vcpu.eax = xen_version(); return true;
	case HC_CONSOLE_IO: vcpu.eax = console_io(); return true;
	case HC_SCHED_OP: return sched_op();
	default: vcpu.eax = (uint32_t)-XEN_ENOSYS; return true;
	}
}

static bool traced_operation(const struct call *call)
{
	uint8_t form = operand_form[call->number];
	bool carried = form == FORM_CARRIER || form == FORM_CARRIER2;

	if (form != FORM_NONE)
		trace_operands(call, carried);
	if (!operation_run(call))
		return false;
	if (carried)
		trace_operands(call, carried);
	return true;
}

/* Where the instruction behind a gate of `int` began: into has a jump over it in front. */
static uint32_t interrupt_start(uint32_t eip)
{
	uint8_t jno[2];
	struct fault keep = machine.fault;
	bool into = guest_read(vcpu.cs.base + eip - 2, jno, 2, 0) && jno[0] == 0x71 && jno[1] == FAR_GATE_BYTES + 4;

	machine.fault = keep;
	return into ? eip - 2 : eip;
}

/* Behind the vector of `int`, which begins at `push`, stands a jump back to its gate. The guest goes on behind that: a
 * kernel that restarts a system call takes two bytes off EIP, and comes to the jump. */
static void pass_restart(uint32_t push)
{
	uint8_t jump[2];
	struct fault keep = machine.fault;
	bool found = guest_read(vcpu.cs.base + vcpu.eip, jump, 2, vcpu.cpl == 3 ? ACCESS_USER : 0) && jump[0] == 0xeb &&
		     jump[1] == (uint8_t)(push - FAR_GATE_BYTES - vcpu.eip - 2);

	machine.fault = keep;
	if (found)
		vcpu.eip += 2;
}

static bool run(uint32_t number, bool traced)
{
	struct call call = { .number = number };
	struct recent_call *recent = &control.recent[control.recent_head++ % 64];

	control.calls[number]++;
	recent->number = number;
	recent->eip = original_eip(machine.instruction_eip);
	if (number < 64 && number != HC_IRET)
		return xen_call(number);
	uint32_t eip = vcpu.eip;

	if (!collect(&call))
		return false;
	if (number == HC_INT)
		pass_restart(eip);
	return traced ? traced_operation(&call) : operation_run(&call);
}

/* Serve hypercall `number` for the guest at vcpu.eip (behind the call). */
void hypercall_serve(uint32_t number)
{
	bool watched = control.trace_mask != 0, traced = false;

	if (watched) {
		if (tracing(TRACE_DEBUGGER) && !debugger_at_event(STOPPED_HYPERCALL, number))
			return;
		if (tracing(TRACE_COVERAGE))
			coverage_call_begins(number);
		traced = tracing(TRACE_HYPERCALL) && number != HC_COVERED;
		if (traced)
			trace_call_begins(number);
	}
	if (!run(number, traced)) {
		if (number == HC_INT)
			machine.instruction_eip = interrupt_start(machine.instruction_eip);
		fault_deliver();
	}
	if (watched) {
		trace_operation_ends();
		coverage_ends();
	}
}

/* What wants to see every hypercall. */
#define SLOW (1u << TRACE_HYPERCALL | 1u << TRACE_DEBUGGER | 1u << TRACE_COVERAGE)

/* The general case. */
void hypercall_long_way(uint32_t number)
{
	uint32_t eip;

	machine.resume_failures = 0;
	machine.shadow = false; /* this is the instruction that it was for */
	machine.instruction_eip = vcpu.eip;
	if (!stack_pop(&eip, 4)) {
		fault_deliver();
		return;
	}
	vcpu.eip = eip;
	bool far = number == HC_INT || number == HC_SYSENTER;

	machine.instruction_eip = eip - (far ? FAR_GATE_BYTES : GATE_BYTES);
	hypercall_serve(number);
}

void hypercall_from_gate(uint32_t number)
{
	number &= 255;
	machine.gate_number = number;
	if (!(control.trace_mask & SLOW) && (number == HC_INT ? fast_int() : number == HC_IRET && fast_iret())) {
		control.calls[number]++;
		return;
	}
	hypercall_long_way(number);
}
