/* Emulation of ordinary instructions whose memory operand the host could not map: device registers,
 * the hole behind a short segment limit, pages at the top under the slide. */
#include "monitor.h"

#define ARITHMETIC 0x8d5u /* CF PF AF ZF SF OF */

/* Run one ALU operation on the host and take its flags. */
#define ALU_CASE(number, name)                                                                              \
	case number:                                                                                        \
		if (size == 1)                                                                              \
			__asm__("push %2; popfq; " name " %b3, %b0; pushfq; pop %1"                         \
				: "+q"(a), "=r"(flags) : "r"(flags_in), "q"(b) : "cc");                     \
		else if (size == 2)                                                                         \
			__asm__("push %2; popfq; " name " %w3, %w0; pushfq; pop %1"                         \
				: "+q"(a), "=r"(flags) : "r"(flags_in), "q"(b) : "cc");                     \
		else                                                                                        \
			__asm__("push %2; popfq; " name " %3, %0; pushfq; pop %1"                           \
				: "+q"(a), "=r"(flags) : "r"(flags_in), "q"(b) : "cc");                     \
		break;

enum { ALU_CMP = 7, ALU_TEST = 8, ALU_INC = 9, ALU_DEC = 10 };

static uint32_t alu(uint32_t operation, uint32_t size, uint32_t a, uint32_t b)
{
	uint64_t flags_in = (vcpu.eflags & ARITHMETIC) | 2, flags = flags_in;
	uint32_t changed = ARITHMETIC;

	switch (operation) {
	ALU_CASE(0, "add") ALU_CASE(1, "or") ALU_CASE(2, "adc") ALU_CASE(3, "sbb")
	ALU_CASE(4, "and") ALU_CASE(5, "sub") ALU_CASE(6, "xor") ALU_CASE(7, "cmp") ALU_CASE(8, "test")
	case ALU_INC: case ALU_DEC:
		changed &= ~FLAG_CF;
		b = 1;
		switch (operation - ALU_INC) { ALU_CASE(0, "add") ALU_CASE(1, "sub") }
		break;
	}
	vcpu.eflags = (vcpu.eflags & ~changed) | ((uint32_t)flags & changed);
	return a;
}

static bool read_modify_write(const struct operand *rm, uint32_t size, uint32_t operation, uint32_t b)
{
	uint32_t a;

	if (!operand_read(rm, size, &a))
		return false;
	uint32_t result = alu(operation, size, a, b);

	return operation == ALU_CMP || operation == ALU_TEST || operand_write(rm, size, result);
}

static uint32_t extend(uint32_t value, uint32_t size, bool is_signed)
{
	if (size == 1)
		return is_signed ? (uint32_t)(int8_t)value : value & 0xff;
	return is_signed ? (uint32_t)(int16_t)value : value & 0xffff;
}

/* 00-3f: ALU operations between register and r/m. */
static bool alu_form(const struct instruction *in)
{
	uint32_t size = in->opcode & 1 ? in->operand_size : 1, operation = in->opcode >> 3, value;

	if (!(in->opcode & 2))
		return read_modify_write(&in->rm, size, operation, register_read(in->reg_field, size));
	if (!operand_read(&in->rm, size, &value))
		return false;
	value = alu(operation, size, register_read(in->reg_field, size), value);
	if (operation != ALU_CMP)
		register_write(in->reg_field, size, value);
	return true;
}

static bool group3(const struct instruction *in, uint32_t size)
{
	uint32_t value;

	if (in->reg_field < 2)
		return read_modify_write(&in->rm, size, ALU_TEST, in->immediate);
	if (in->reg_field > 3)
		return raise_fault(VECTOR_GP, 0);
	if (!operand_read(&in->rm, size, &value))
		return false;
	return operand_write(&in->rm, size, in->reg_field == 2 ? ~value : alu(5, size, 0, value));
}

static bool exchange(const struct instruction *in, uint32_t size)
{
	uint32_t value;

	if (!operand_read(&in->rm, size, &value) ||
	    !operand_write(&in->rm, size, register_read(in->reg_field, size)))
		return false;
	register_write(in->reg_field, size, value);
	return true;
}

/* movs, stos, lods, with rep; registers advance with each item, so that a fault restarts behind it. */
static bool string_form(const struct instruction *in)
{
	uint32_t size = in->opcode & 1 ? in->operand_size : 1, step = vcpu.eflags & FLAG_DF ? -size : size, value;
	uint32_t mask = in->address_size == 2 ? 0xffff : ~0u;
	bool source = in->opcode != 0xaa && in->opcode != 0xab, target = in->opcode < 0xac;

	while (!in->repeat || vcpu.ecx & mask) {
		struct operand from = { true, 0, 0, in->segment == SEG_NONE ? SEG_DS : in->segment, vcpu.esi & mask };
		struct operand to = { true, 0, 0, SEG_ES, vcpu.edi & mask };

		value = vcpu.eax;
		if ((source && !operand_read(&from, size, &value)) || (target && !operand_write(&to, size, value)))
			return false;
		if (source)
			register_write(6, in->address_size, vcpu.esi + step);
		if (target)
			register_write(7, in->address_size, vcpu.edi + step);
		else
			register_write(0, size, value);
		if (!in->repeat)
			break;
		register_write(1, in->address_size, vcpu.ecx - 1);
		if (machine.events && vcpu.ecx & mask)
			return (vcpu.eip -= in->length), true; /* interruptible between items */
	}
	return true;
}

static bool group5(const struct instruction *in, uint32_t size)
{
	uint32_t value;

	if (in->reg_field < 2)
		return read_modify_write(&in->rm, size, in->reg_field ? ALU_DEC : ALU_INC, 1);
	if (in->opcode == 0xfe || (in->reg_field != 2 && in->reg_field != 4 && in->reg_field != 6))
		return raise_plain(VECTOR_UD);
	if (!operand_read(&in->rm, size, &value))
		return false;
	if (in->reg_field == 6)
		return stack_push(&value, in->operand_size);
	if (in->reg_field == 2 && !stack_push(&vcpu.eip, 4))
		return false;
	vcpu.eip = value;
	return true;
}

static bool bit_form(const struct instruction *in, uint32_t operation, uint32_t bit)
{
	struct operand rm = in->rm;
	uint32_t size = in->operand_size, value;

	if (in->opcode != 0xba)
		rm.offset += (uint32_t)((int32_t)bit >> 5) * 4;
	bit &= size * 8 - 1;
	if (!operand_read(&rm, size, &value))
		return false;
	vcpu.eflags = (vcpu.eflags & ~FLAG_CF) | (value >> bit & 1);
	uint32_t changed = operation == 1 ? value | 1u << bit : operation == 2 ? value & ~(1u << bit) : value ^ 1u << bit;

	return operation == 0 || operand_write(&rm, size, changed);
}

static bool compare_exchange(const struct instruction *in, uint32_t size)
{
	uint32_t value;

	if (!operand_read(&in->rm, size, &value))
		return false;
	alu(ALU_CMP, size, register_read(0, size), value);
	if (vcpu.eflags & FLAG_ZF)
		return operand_write(&in->rm, size, register_read(in->reg_field, size));
	register_write(0, size, value);
	return true;
}

static bool two_byte(const struct instruction *in)
{
	uint32_t op = in->opcode, size = op & 1 ? in->operand_size : 1, value;

	switch (op) {
	case 0xb6: case 0xb7: case 0xbe: case 0xbf: {
		uint32_t from = op & 1 ? 2 : 1;

		if (!operand_read(&in->rm, from, &value))
			return false;
		register_write(in->reg_field, in->operand_size, extend(value, from, op & 8));
		return true;
	}
	case 0xb0: case 0xb1:
		return compare_exchange(in, size);
	case 0xc0: case 0xc1:
		value = register_read(in->reg_field, size);
		{
			uint32_t old;

			if (!operand_read(&in->rm, size, &old) || !operand_write(&in->rm, size, alu(0, size, old, value)))
				return false;
			register_write(in->reg_field, size, old);
		}
		return true;
	case 0xa3: case 0xab: case 0xb3: case 0xbb:
		return bit_form(in, op >> 3 & 3, register_read(in->reg_field, in->operand_size));
	case 0xba:
		return in->reg_field >= 4 ? bit_form(in, in->reg_field & 3, in->immediate) : raise_plain(VECTOR_UD);
	default:
		return raise_fault(VECTOR_GP, 0);
	}
}

/* Emulate `in` (vcpu.eip is already behind it). #GP noted for what is not an ordinary access. */
bool emulate_memory(const struct instruction *in)
{
	uint32_t op = in->opcode, size = op & 1 ? in->operand_size : 1, value;

	if (in->opcode_map == 1)
		return two_byte(in);
	if (in->opcode_map)
		return raise_fault(VECTOR_GP, 0);
	if (op < 0x40 && (op & 7) < 4)
		return alu_form(in);
	switch (op) {
	case 0x80: case 0x81: case 0x82: case 0x83:
		value = op == 0x83 || op == 0x82 ? (uint32_t)(int8_t)in->immediate : in->immediate;
		return read_modify_write(&in->rm, size, in->reg_field, value);
	case 0x84: case 0x85:
		return read_modify_write(&in->rm, size, ALU_TEST, register_read(in->reg_field, size));
	case 0x86: case 0x87:
		return exchange(in, size);
	case 0x88: case 0x89:
		return operand_write(&in->rm, size, register_read(in->reg_field, size));
	case 0x8a: case 0x8b:
		if (!operand_read(&in->rm, size, &value))
			return false;
		register_write(in->reg_field, size, value);
		return true;
	case 0x8f:
		return stack_pop(&value, in->operand_size) && operand_write(&in->rm, in->operand_size, value);
	case 0xa0: case 0xa1: case 0xa2: case 0xa3: {
		struct operand at = { true, 0, 0, in->segment == SEG_NONE ? SEG_DS : in->segment, in->immediate };

		if (op >= 0xa2)
			return operand_write(&at, size, register_read(0, size));
		if (!operand_read(&at, size, &value))
			return false;
		register_write(0, size, value);
		return true;
	}
	case 0xa4: case 0xa5: case 0xaa: case 0xab: case 0xac: case 0xad:
		return string_form(in);
	case 0xc6: case 0xc7:
		return operand_write(&in->rm, size, in->immediate);
	case 0xf6: case 0xf7:
		return group3(in, size);
	case 0xfe: case 0xff:
		return group5(in, size);
	default:
		return raise_fault(VECTOR_GP, 0);
	}
}
