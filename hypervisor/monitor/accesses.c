/* What an instruction does to memory: addresses, sizes and directions of its operands, without doing it. */
#include "monitor.h"

static void add(struct access_list *list, uint32_t linear, uint32_t size, bool write)
{
	if (list->count < sizeof(list->item) / sizeof(list->item[0]))
		list->item[list->count++] = (struct memory_access){ linear, size, write };
}

/* Of x87 instructions d8 to df; those with state (fldenv, fsave) count as their first bytes. */
static uint32_t x87_size(const struct instruction *in)
{
	static const uint8_t sizes[8] = { 4, 4, 4, 4, 8, 8, 2, 2 };
	uint32_t op = in->opcode, reg = in->reg_field;

	if (op == 0xdb && reg >= 5)
		return 10;
	if (op == 0xdf && reg >= 4)
		return reg & 1 ? 8 : 10;
	if ((op == 0xd9 && (reg == 5 || reg == 7)) || (op == 0xdd && reg == 7))
		return 2;
	return sizes[op & 7];
}

static bool is_vector(uint32_t op)
{
	return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) || (op >= 0x50 && op <= 0x7f) || op == 0xc2 ||
	       op == 0xc6 || op >= 0xd0;
}

/* MMX and SSE, by opcode and mandatory prefix (0x66: a 16-bit operand size). */
static uint32_t vector_size(const struct instruction *in)
{
	uint32_t op = in->opcode;
	bool packed = in->operand_size == 2;

	switch (op) {
	case 0x6e: return 4;
	case 0x7e: return in->repeat ? 8 : 4;
	case 0x6f: case 0x7f: return packed || in->repeat ? 16 : 8;
	case 0x12: case 0x13: case 0x16: case 0x17: case 0xd6: return 8;
	}
	if (in->repeat && op != 0xf0)
		return in->repeat == 0xf3 ? 4 : 8;
	return (op >= 0x60 && op < 0x80) || op >= 0xd0 ? (packed ? 16 : 8) : 16;
}

static uint32_t two_byte_size(const struct instruction *in)
{
	uint32_t op = in->opcode;

	if (is_vector(op))
		return vector_size(in);
	switch (op) {
	case 0x90 ... 0x9f: case 0xb0: case 0xb6: case 0xbe: case 0xc0: return 1;
	case 0xb7: case 0xbf: return 2;
	case 0xb2: case 0xb4: case 0xb5: return in->operand_size + 2u; /* far pointers */
	case 0xc7: return 8;
	default: return in->operand_size;
	}
}

static uint32_t operand_size(const struct instruction *in)
{
	uint32_t op = in->opcode;

	if (in->opcode_map)
		return in->opcode_map == 1 ? two_byte_size(in) : 16;
	switch (op) {
	case 0xd8 ... 0xdf: return x87_size(in);
	case 0x62: return 2u * in->operand_size;
	case 0x63: case 0x8c: case 0x8e: return 2;
	case 0xc4: case 0xc5: return in->operand_size + 2u;
	case 0xff: return in->operand_size + (in->reg_field == 3 || in->reg_field == 5 ? 2u : 0);
	}
	bool has_byte_form = op < 0x40 || (op >= 0x80 && op <= 0x8a) || (op >= 0xc0 && op <= 0xd3) || op >= 0xf6;

	return has_byte_form && !(op & 1) ? 1 : in->operand_size;
}

/* lea, the long NOP, prefetches and invlpg name memory without touching it. */
static bool only_names(const struct instruction *in)
{
	uint32_t op = in->opcode;

	return in->opcode_map ? in->opcode_map == 1 && (op == 0x0d || (op >= 0x18 && op <= 0x1f) ||
							(op == 0x01 && in->reg_field == 7))
			      : op == 0x8d;
}

/* Stores of x87 and SSE; all others that write their operand are `writes_operand`'s. */
static bool stores(const struct instruction *in)
{
	uint32_t op = in->opcode, reg = in->reg_field;

	if (in->opcode_map == 1)
		return op == 0x11 || op == 0x13 || op == 0x17 || op == 0x29 || op == 0x2b || op == 0x7f || op == 0xc3 ||
		       op == 0xd6 || op == 0xe7 || (op == 0x7e && in->repeat != 0xf3) || (op == 0xae && !(reg & 1));
	return (op == 0xd9 || op == 0xdd ? reg >= 2 && reg != 4 && !(op == 0xd9 && reg == 5) : false) ||
	       ((op == 0xdb || op == 0xdf) && (reg == 1 || reg == 2 || reg == 3 || reg >= 6));
}

static void string_operands(const struct instruction *in, struct access_list *list)
{
	uint32_t size = in->opcode & 1 ? in->operand_size : 1, mask = in->address_size == 4 ? ~0u : 0xffff;
	struct segment source, destination;

	segment_of(in->segment == SEG_NONE ? SEG_DS : in->segment, &source);
	segment_of(SEG_ES, &destination);
	uint32_t from = source.base + (vcpu.esi & mask), to = destination.base + (vcpu.edi & mask);

	switch (in->opcode & ~1u) {
	case 0x6c: add(list, to, size, true); break;			       /* ins */
	case 0x6e: case 0xac: add(list, from, size, false); break;	       /* outs, lods */
	case 0xa4: add(list, from, size, false); add(list, to, size, true); break; /* movs */
	case 0xa6: add(list, from, size, false); add(list, to, size, false); break; /* cmps */
	case 0xaa: add(list, to, size, true); break;			       /* stos */
	case 0xae: add(list, to, size, false); break;			       /* scas */
	}
}

/* Memory operands of `in`, which begins at vcpu.eip, as registers are now. */
void accesses_of(const struct instruction *in, struct access_list *list)
{
	uint32_t op = in->opcode, linear, size = in->operand_size;
	struct segment segment;
	bool write;

	list->count = 0;
	if (in->has_modrm && in->rm.memory && !only_names(in)) {
		segment_of(in->rm.segment, &segment);
		add(list, segment.base + in->rm.offset, operand_size(in), writes_operand(in) || stores(in));
	}
	if (in->opcode_map)
		return;
	if (op >= 0xa0 && op <= 0xa3) {
		segment_of(in->segment == SEG_NONE ? SEG_DS : in->segment, &segment);
		add(list, segment.base + in->immediate, op & 1 ? size : 1, op >= 0xa2);
	}
	string_operands(in, list);
	if (stack_operand(in, &linear, &write)) {
		uint32_t items = op == 0x60 || op == 0x61 ? 8 : 1;

		add(list, write ? stack_linear(-items * size) : linear, items * size, write);
	}
	if (op == 0xc9) {
		segment_of(SEG_SS, &segment);
		add(list, segment.base + vcpu.ebp, size, false);
	}
}
