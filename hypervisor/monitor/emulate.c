/* Arrival by a trap: what was left unported, and accesses that the host could not let through. */
#include "monitor.h"

#define NOT_SENSITIVE 0xffffu
#define UNDEFINED 0xfffeu /* an extension that the virtual CPU does not have */

/* Hypercall that stands for a one-byte opcode with the given ModRM reg field. */
static uint32_t number_of_one_byte(const struct instruction *in)
{
	uint32_t size = in->opcode & 1 ? in->operand_size / 2 : 0; /* 0, 1, 2 for 8, 16, 32 bits */

	switch (in->opcode) {
	case 0x17: return in->operand_size == 4 ? HC_POP_SS : HC_POPW_SS;
	case 0x63: return HC_ARPL;
	case 0x6c: case 0x6d: return (in->repeat ? HC_REP_INS8 : HC_INS8) + size;
	case 0x6e: case 0x6f: return (in->repeat ? HC_REP_OUTS8 : HC_OUTS8) + size;
	case 0x9a: return HC_LCALL;
	case 0xc4: return HC_LES;
	case 0xc5: return HC_LDS;
	case 0xca: return HC_LRET_N;
	case 0xcb: return in->operand_size == 4 ? HC_LRET : HC_LRET16;
	case 0xcd: return HC_INT;
	case 0xcf: return in->operand_size == 4 ? HC_IRET : HC_IRET16;
	case 0xe4: case 0xe5: return HC_IN8_IMM + size;
	case 0xe6: case 0xe7: return HC_OUT8_IMM + size;
	case 0xea: return HC_LJMP;
	case 0xec: case 0xed: return HC_IN8 + size;
	case 0xee: case 0xef: return HC_OUT8 + size;
	case 0xf4: return HC_HALT;
	case 0xff: return in->rm.memory && in->reg_field == 3 ? HC_LCALL_MEM :
			  in->rm.memory && in->reg_field == 5 ? HC_LJMP_MEM : NOT_SENSITIVE;
	default: return NOT_SENSITIVE;
	}
}

static uint32_t number_of_group7(const struct instruction *in)
{
	static const uint16_t numbers[8] = { HC_SGDT, HC_SIDT, HC_LGDT, HC_LIDT, HC_SMSW, NOT_SENSITIVE, HC_LMSW,
					     HC_INVLPG };

	if (in->rm.memory || in->reg_field == 4 || in->reg_field == 6)
		return numbers[in->reg_field];
	switch (in->modrm) {
	case 0xc8: return HC_MONITOR;
	case 0xc9: return HC_MWAIT;
	case 0xd0: return HC_XGETBV;
	case 0xd1: return HC_XSETBV;
	case 0xf9: return HC_RDTSCP;
	case 0xc1 ... 0xc5: case 0xcc ... 0xcf: case 0xd4: case 0xd8 ... 0xdf: return UNDEFINED; /* VMX, TDX, SVM */
	default: return NOT_SENSITIVE;
	}
}

static uint32_t number_of_two_byte(const struct instruction *in)
{
	static const uint16_t group6[8] = { HC_SLDT, HC_STR, HC_LLDT, HC_LTR, HC_VERR, HC_VERW, NOT_SENSITIVE,
					    NOT_SENSITIVE };
	static const uint16_t write_cr[8] = { HC_WRITE_CR0, NOT_SENSITIVE, HC_WRITE_CR2, HC_WRITE_CR3, HC_WRITE_CR4,
					      NOT_SENSITIVE, NOT_SENSITIVE, NOT_SENSITIVE };

	switch (in->opcode) {
	case 0x00: return group6[in->reg_field];
	case 0x01: return number_of_group7(in);
	case 0x02: return HC_LAR;
	case 0x03: return HC_LSL;
	case 0x05: return HC_SYSCALL;
	case 0x06: return HC_CLTS;
	case 0x07: return HC_SYSRET;
	case 0x21: return HC_READ_DR0 + in->reg_field;
	case 0x22: return write_cr[in->reg_field];
	case 0x23: return HC_WRITE_DR0 + in->reg_field;
	case 0x30: return HC_WRMSR;
	case 0x32: return HC_RDMSR;
	case 0x33: return HC_RDPMC;
	case 0x34: return HC_SYSENTER;
	case 0x35: return HC_SYSEXIT;
	case 0xa2: return HC_CPUID;
	case 0xb2: return HC_LSS;
	case 0xb4: return HC_LFS;
	case 0xb5: return HC_LGS;
	case 0x37: case 0x78: case 0x79: return UNDEFINED; /* getsec, vmread, vmwrite */
	case 0xc7: return in->reg_field == 1 && in->rm.memory ? NOT_SENSITIVE : UNDEFINED; /* all but cmpxchg8b */
	default: return NOT_SENSITIVE;
	}
}

bool push_item(uint32_t value, uint32_t size)
{
	return stack_push(&value, size);
}

bool pop_segment(enum segment_register reg, uint32_t size)
{
	uint32_t selector = 0;

	/* 16 bits are read, whatever the size. */
	if (!stack_read(0, &selector, 2) || !segment_load(reg, selector))
		return false;
	stack_release((int32_t)size);
	return true;
}

bool pop_flags(void)
{
	uint32_t flags;

	if (!stack_pop(&flags, 4))
		return false;
	flags_from_guest(flags, 0x247fd5);
	return true;
}

bool set_interrupts(bool on)
{
	if (vcpu.cpl > vcpu.iopl)
		return raise_fault(VECTOR_GP, 0);
	if (on && !interrupts_on())
		machine.shadow = true;
	vif_set(on);
	return true;
}

static bool move_to_segment(const struct instruction *in)
{
	uint32_t selector;

	if (in->reg_field == SEG_CS || in->reg_field > SEG_GS)
		return raise_plain(VECTOR_UD);
	if (!operand_read(&in->rm, 2, &selector) || !segment_load(in->reg_field, selector))
		return false;
	if (in->reg_field == SEG_SS)
		machine.shadow = machine.stack_loaded = true;
	return true;
}

static bool read_control(const struct instruction *in)
{
	uint32_t n = in->reg_field;

	if (!is_privileged())
		return false;
	if (n == 1 || n > 4)
		return raise_plain(VECTOR_UD);
	register_write(in->rm.reg, 4, n == 0 ? shared.cr0 : n == 2 ? shared.cr2 : n == 3 ? shared.cr3 : shared.cr4);
	return true;
}

/* Sensitive instructions that ported code does inline, so that no hypercall stands for them. */
static bool inline_operation(const struct instruction *in, bool *mine)
{
	uint32_t op = in->opcode | in->opcode_map << 8, size = in->operand_size;

	*mine = true;
	switch (op) {
	case 0xfa: return set_interrupts(false);
	case 0xfb: return set_interrupts(true);
	case 0x9c: return push_item(flags_for_guest(), size);
	case 0x9d: return size == 4 ? pop_flags() : operation_run(&(struct call){ .number = HC_POPF16 });
	case 0x06: case 0x0e: case 0x16: case 0x1e: return push_item(segment_selector(op >> 3), size);
	case 0x07: case 0x1f: return pop_segment(op >> 3, size);
	case 0x1a0: case 0x1a8: return push_item(segment_selector(op == 0x1a0 ? SEG_FS : SEG_GS), size);
	case 0x1a1: case 0x1a9: return pop_segment(op == 0x1a1 ? SEG_FS : SEG_GS, size);
	case 0x8c:
		if (in->reg_field > SEG_GS)
			return raise_plain(VECTOR_UD);
		return operand_write(&in->rm, in->rm.memory ? 2 : size, segment_selector(in->reg_field));
	case 0x8e: return move_to_segment(in);
	case 0x120: return read_control(in);
	case 0x108: case 0x109: return is_privileged(); /* invd, wbinvd: nothing to write back */
	default: *mine = false; return false;
	}
}

/* `call *%cs:table` that faulted: a code segment or a stack that does not reach. */
bool emulate_gate_call(void)
{
	struct instruction in;
	struct fault keep = machine.fault;
	uint32_t first = HOLE + GATES_OFFSET;

	if (!decode(vcpu.eip, &in) || in.opcode_map || in.opcode != 0xff || in.reg_field != 2 || in.modrm != 0x15 ||
	    in.segment != SEG_CS || in.rm.offset - first >= 4 * LANDING_COUNT) {
		machine.fault = keep;
		return false;
	}
	vcpu.eip += in.length;
	hypercall_serve((in.rm.offset - first) / 4);
	return true;
}

static bool sensitive(const struct instruction *in, bool *mine)
{
	struct call call = { .address_size = in->address_size, .immediate = in->immediate,
			     .immediate2 = in->far_selector, .a = in->rm };
	bool done = inline_operation(in, mine);

	if (*mine)
		return done;
	call.number = in->opcode_map == 1 ? number_of_two_byte(in) : in->opcode_map ? NOT_SENSITIVE :
		      number_of_one_byte(in);
	if (call.number == NOT_SENSITIVE)
		return false;
	*mine = true;
	if (call.number == UNDEFINED)
		return raise_plain(VECTOR_UD);
	call.segment = in->segment == SEG_NONE ? SEG_DS : in->segment;
	call.b = (struct operand){ .reg = in->reg_field, .size = in->operand_size };
	if (in->opcode_map == 1 && in->opcode >= 0x20 && in->opcode <= 0x23)
		call.a = (struct operand){ .reg = in->rm.reg, .size = 4 };
	return operation_run(&call);
}

/* The gate in front of an access to device memory: do here what would trap. An instruction that is no ordinary
 * access, or beyond its segment's limit, runs as it stands. */
bool emulate_next(void)
{
	struct instruction in;
	uint32_t start = vcpu.eip;

	if (!decode(start, &in))
		return machine.fault.vector != VECTOR_PF;
	vcpu.eip = start + in.length;
	if (emulate_memory(&in))
		return true;
	if (machine.fault.vector == VECTOR_PF)
		return false;
	vcpu.eip = start;
	return true;
}

/* The stack access of push, call, pop, ret and their like; false for other instructions. */
bool stack_operand(const struct instruction *in, uint32_t *linear, bool *write)
{
	uint32_t op = in->opcode | in->opcode_map << 8;
	bool pop = (op >= 0x58 && op <= 0x5f) || op == 0x61 || op == 0x8f || op == 0xc2 || op == 0xc3 || op == 0x9d;

	*write = (op >= 0x50 && op <= 0x57) || op == 0x60 || op == 0x68 || op == 0x6a || op == 0x9c || op == 0xc8 ||
		 op == 0xe8 || (op == 0xff && (in->reg_field == 2 || in->reg_field == 6));
	*linear = stack_linear(*write ? -4u : 0);
	return *write || pop;
}

/* The common instructions that write their memory operand: they fault as a write, though they read first. */
bool writes_operand(const struct instruction *in)
{
	uint32_t op = in->opcode, reg = in->reg_field;

	if (in->opcode_map)
		return in->opcode_map == 1 && ((op >= 0x90 && op <= 0x9f) || op == 0xab || op == 0xb0 || op == 0xb1 ||
					       op == 0xb3 || op == 0xbb || op == 0xc0 || op == 0xc1 || op == 0xc7 ||
					       (op & 0xf6) == 0xa4 || (op == 0xba && reg > 4));
	if (op < 0x40)
		return !(op & 2) && op < 0x38;
	return (op >= 0x80 && op <= 0x83 && reg != 7) || (op >= 0x86 && op <= 0x89) || op == 0x8f || op == 0xc0 ||
	       op == 0xc1 || op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) ||
	       ((op == 0xf6 || op == 0xf7) && (reg == 2 || reg == 3)) || (op >= 0xfe && reg < 2);
}

/* A user segment is cut at the end of user addresses. True: that end has moved, run the instruction
 * again. Else what lies beyond is noted as a page fault of the guest. */
static bool beyond_user_limit(const struct instruction *in)
{
	struct translation to;
	uint32_t linear, old = machine.user_limit;
	bool write;

	if (vcpu.cpl != 3 || !old)
		return false;
	user_limit_learn();
	if (machine.user_limit != old)
		return true;
	struct fault keep = machine.fault;

	if (in->has_modrm && in->rm.memory && operand_linear(&in->rm, 1, false, &linear) && linear >= old &&
	    linear - HOLE >= HOLE_SIZE && !translate(linear, ACCESS_USER | (writes_operand(in) ? ACCESS_WRITE : 0), &to))
		return false;
	if (stack_operand(in, &linear, &write) && linear >= old &&
	    !translate(linear, ACCESS_USER | (write ? ACCESS_WRITE : 0), &to))
		return false;
	machine.fault = keep;
	if (!fetch_beyond_user(vcpu.eip))
		branch_beyond_user(in);
	return false;
}

static bool emulate_decoded(const struct instruction *in, uint32_t vector, uint32_t error)
{
	uint32_t start = vcpu.eip;
	bool mine, done;

	vcpu.eip = start + in->length;
	machine.shadow = false; /* this is the instruction that it was for */
	done = sensitive(in, &mine);
	if (mine)
		return done;
	vcpu.eip = start;
	if (vector != VECTOR_PF && vcpu.cpl < 3 && segments_widen())
		return true;
	machine.fault = (struct fault){ vector == VECTOR_PF ? VECTOR_GP : vector, error, 1, 0 };
	if (beyond_user_limit(in))
		return true;
	if (machine.fault.vector == VECTOR_PF)
		return false;
	vcpu.eip = start + in->length;
	if (emulate_memory(in))
		return true;
	/* Pushes and their like are not emulated: theirs is the host's fault. */
	if (vector == VECTOR_SS && machine.fault.vector == VECTOR_GP)
		machine.fault.vector = VECTOR_SS;
	return false;
}

/* sysenter and sysexit: processors of AMD have neither in compatibility mode (APM vol. 3, SYSENTER). */
static bool is_fast_system_call(void)
{
	uint8_t bytes[2];
	struct fault keep = machine.fault;
	bool readable = guest_read(vcpu.cs.base + vcpu.eip, bytes, 2, vcpu.cpl == 3 ? ACCESS_USER : 0);

	machine.fault = keep;
	return readable && bytes[0] == 0x0f && (bytes[1] == 0x34 || bytes[1] == 0x35);
}

/* The beginning of a sequence that is too short for a gate: HLT is in its place, so that it is counted. */
static bool covered_trap(void)
{
	if (!tracing(TRACE_COVERAGE) || sequence_covered_action() == NO_SEQUENCE)
		return false;
	hypercall_serve(HC_COVERED);
	return true;
}

/* Handle a trap that is not a plain page fault. False: deliver machine.fault to the guest. */
bool emulate_trapped(uint32_t vector, uint32_t error)
{
	struct instruction in;

	if (vector == VECTOR_UD && !is_fast_system_call())
		return raise_plain(VECTOR_UD);
	if (emulate_gate_call() || sequence_complete(false) || covered_trap())
		return true;
	if (!decode(vcpu.eip, &in))
		return false;
	control.emulated++;
	if (!control.trace_mask)
		return emulate_decoded(&in, vector, error);
	if (tracing(TRACE_COVERAGE))
		coverage_begins(COVERAGE_TRAP, vector);
	if (tracing(TRACE_EMULATED))
		trace_instruction_begins(&in, vector, error);
	bool done = emulate_decoded(&in, vector, error);

	trace_operation_ends();
	coverage_ends();
	return done;
}

/* What compilers put behind sti: moves, arithmetic, the end of a function. */
static bool ordinary(const struct instruction *in)
{
	uint32_t op = in->opcode, value;

	if (in->opcode_map || in->lock || in->repeat || in->operand_size != 4 || in->address_size != 4)
		return false;
	switch (op) {
	case 0x90: return true;
	case 0x50 ... 0x57: value = register_read(op & 7, 4); return stack_push(&value, 4);
	case 0x58 ... 0x5f:
		if (!stack_pop(&value, 4))
			return false;
		register_write(op & 7, 4, value);
		return true;
	case 0x8d: register_write(in->reg_field, 4, in->rm.offset); return in->rm.memory;
	case 0xc3: return stack_pop(&vcpu.eip, 4);
	case 0xc9: vcpu.esp = vcpu.ebp; return stack_pop(&vcpu.ebp, 4);
	case 0x01: case 0x03: case 0x09: case 0x0b: case 0x21: case 0x23: case 0x29: case 0x2b: case 0x31: case 0x33:
	case 0x39: case 0x3b: case 0x81: case 0x83: case 0x85: case 0x89: case 0x8b:
		return emulate_memory(in);
	default: return false;
	}
}

/* Do the instruction at vcpu.eip, if it is one of the common ones: cheaper than the host's single step. False, and
 * nothing has changed, where it is not, or would fault. */
bool emulate_ordinary(void)
{
	struct vcpu before = vcpu;
	struct fault keep = machine.fault;
	struct instruction in;

	if (vcpu.cpl || vcpu.eflags & FLAG_TF || !(vcpu.ss.access & 0x4000) || sequence_begins())
		return false;
	if (decode(vcpu.eip, &in)) {
		vcpu.eip += in.length;
		if (ordinary(&in))
			return true;
	}
	vcpu = before;
	machine.fault = keep;
	return false;
}
