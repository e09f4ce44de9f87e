/* Jumps of user code that lead behind the end of user addresses.
 *
 * There its code segment is cut (user_limit.c), so that the host refuses the jump itself with #GP. On a PC the
 * jump is done, and the fetch at its target is a page fault. */
#include "monitor.h"

static uint32_t relative(const struct instruction *in, uint32_t size)
{
	return vcpu.eip + in->length + (size == 1 ? (uint32_t)(int8_t)in->immediate : in->immediate);
}

enum kind { NO_BRANCH, JUMP, LOOP, CALL, RETURN };

/* Where a near jump leads, if it is taken; one that is not does not fault. */
static enum kind near_branch(const struct instruction *in, uint32_t *target)
{
	uint32_t op = in->opcode | in->opcode_map << 8;

	switch (op) {
	case 0x70 ... 0x7f: case 0xe3: case 0xeb: *target = relative(in, 1); return JUMP;
	case 0xe0 ... 0xe2: *target = relative(in, 1); return LOOP;
	case 0xe9: case 0x180 ... 0x18f: *target = relative(in, 4); return JUMP;
	case 0xe8: *target = relative(in, 4); return CALL;
	case 0xc2: case 0xc3: return stack_read(0, target, 4) ? RETURN : NO_BRANCH;
	case 0xff:
		if ((in->reg_field != 2 && in->reg_field != 4) || !operand_read(&in->rm, 4, target))
			return NO_BRANCH;
		return in->reg_field == 2 ? CALL : JUMP;
	default: return NO_BRANCH;
	}
}

/* Is `eip` within the guest's own code segment, but behind the user's end, and no page of the user's? Then a page
 * fault is noted. */
bool fetch_beyond_user(uint32_t eip)
{
	struct translation to;

	return vcpu.cpl == 3 && machine.user_limit && eip <= vcpu.cs.limit &&
	       vcpu.cs.base + eip >= machine.user_limit && !translate(vcpu.cs.base + eip, ACCESS_USER | ACCESS_FETCH, &to);
}

/* The instruction was refused: do it if it is a near jump behind the user's end, and note the fault that comes
 * of it. Nothing changes where it is not. */
void branch_beyond_user(const struct instruction *in)
{
	struct fault keep = machine.fault;
	uint32_t target, next = vcpu.eip + in->length;
	enum kind kind = in->operand_size == 4 ? near_branch(in, &target) : NO_BRANCH;

	if (kind == NO_BRANCH || !fetch_beyond_user(target)) {
		machine.fault = keep;
		return;
	}
	keep = machine.fault;
	if (kind == CALL && !stack_push(&next, 4))
		return;
	machine.fault = keep;
	if (kind == RETURN)
		stack_release(4 + (int32_t)(in->opcode == 0xc2 ? in->immediate & 0xffff : 0));
	if (kind == LOOP)
		register_write(1, in->address_size, register_read(1, in->address_size) - 1);
	machine.instruction_eip = target;
}
