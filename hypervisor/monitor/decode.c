/* Instruction decoding as far as emulation needs it (SDM vol. 2, chapter 2 and appendix A), and access
 * to the operands so found. */
#include "monitor.h"

uint32_t register_read(uint32_t number, uint32_t size)
{
	const uint32_t *registers = &vcpu.eax;

	if (size == 1 && number >= 4)
		return registers[number - 4] >> 8 & 0xff;
	uint32_t value = registers[number];

	return size == 1 ? value & 0xff : size == 2 ? value & 0xffff : value;
}

void register_write(uint32_t number, uint32_t size, uint32_t value)
{
	uint32_t *registers = &vcpu.eax;

	if (size == 4)
		registers[number] = value;
	else if (size == 2)
		registers[number] = (registers[number] & 0xffff0000u) | (value & 0xffff);
	else if (number < 4)
		registers[number] = (registers[number] & 0xffffff00u) | (value & 0xff);
	else
		registers[number - 4] = (registers[number - 4] & 0xffff00ffu) | (value & 0xff) << 8;
}

/* Next `size` bytes of the instruction, zero-extended; false past 15 bytes or what could be read. */
static bool take(struct instruction *in, uint32_t size, uint32_t *value)
{
	*value = 0;
	if (in->length + size > in->fetched)
		return false;
	memcpy(value, in->bytes + in->length, size);
	in->length += (uint8_t)size;
	return true;
}

static uint32_t sign_extend(uint32_t value, uint32_t size)
{
	return size == 1 ? (uint32_t)(int8_t)value : size == 2 ? (uint32_t)(int16_t)value : value;
}

static bool modrm16(struct instruction *in, uint32_t mod, uint32_t rm)
{
	static const uint8_t base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 }, index[8] = { 6, 7, 6, 7, 8, 8, 8, 8 };
	uint32_t displacement = 0, offset = 0;

	in->rm.segment = rm == 2 || rm == 3 || (rm == 6 && mod) ? SEG_SS : SEG_DS;
	if (!(mod == 0 && rm == 6)) {
		offset = register_read(base[rm], 2);
		if (index[rm] < 8)
			offset += register_read(index[rm], 2);
	}
	uint32_t size = mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 6) ? 2 : 0;

	if (size && !take(in, size, &displacement))
		return false;
	in->rm.offset = (offset + sign_extend(displacement, size)) & 0xffff;
	return true;
}

static bool modrm32(struct instruction *in, uint32_t mod, uint32_t rm)
{
	uint32_t displacement = 0, offset = 0, base = rm, sib;
	uint32_t size = mod == 1 ? 1 : mod == 2 ? 4 : 0;

	in->rm.segment = SEG_DS;
	if (rm == 4) {
		if (!take(in, 1, &sib))
			return false;
		base = sib & 7;
		if ((sib >> 3 & 7) != 4)
			offset = register_read(sib >> 3 & 7, 4) << (sib >> 6);
	}
	if (base == 5 && mod == 0)
		size = 4;
	else
		offset += register_read(base, 4);
	if (base == 4 || (base == 5 && mod != 0))
		in->rm.segment = SEG_SS;
	if (size && !take(in, size, &displacement))
		return false;
	in->rm.offset = offset + sign_extend(displacement, size);
	return true;
}

static bool take_modrm(struct instruction *in)
{
	uint32_t byte;

	if (!take(in, 1, &byte))
		return false;
	in->has_modrm = true;
	in->modrm = (uint8_t)byte;
	in->reg_field = byte >> 3 & 7;
	in->rm.reg = byte & 7;
	in->rm.size = in->operand_size;
	in->rm.memory = byte < 0xc0;
	if (!in->rm.memory)
		return true;
	if (!(in->address_size == 2 ? modrm16(in, byte >> 6, byte & 7) : modrm32(in, byte >> 6, byte & 7)))
		return false;
	if (in->segment != SEG_NONE)
		in->rm.segment = in->segment;
	return true;
}

static bool one_byte_has_modrm(uint32_t op)
{
	if (op < 0x40)
		return (op & 7) < 4;
	return op == 0x62 || op == 0x63 || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8f) || op == 0xc0 ||
	       op == 0xc1 || (op >= 0xc4 && op <= 0xc7) || (op >= 0xd0 && op <= 0xd3) || (op >= 0xd8 && op <= 0xdf) ||
	       op == 0xf6 || op == 0xf7 || op == 0xfe || op == 0xff;
}

static bool two_byte_has_modrm(uint32_t op)
{
	return !((op >= 0x04 && op <= 0x0b) || op == 0x0e || (op >= 0x30 && op <= 0x37) || op == 0x77 ||
		 (op >= 0x80 && op <= 0x8f) || (op >= 0xa0 && op <= 0xa2) || (op >= 0xa8 && op <= 0xaa) ||
		 (op >= 0xc8 && op <= 0xcf) || op == 0xff);
}

/* Bytes of immediate behind opcode and ModRM. */
static uint32_t immediate_size(const struct instruction *in)
{
	uint32_t op = in->opcode, z = in->operand_size;

	if (in->opcode_map == 1)
		return (op >= 0x80 && op <= 0x8f) ? z : op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 ||
		       op == 0xc4 || op == 0xc5 || op == 0xc6 || (op >= 0x70 && op <= 0x73) ? 1 : 0;
	if (in->opcode_map > 1)
		return in->opcode_map == 3 ? 1 : 0;
	if (op < 0x40)
		return (op & 7) == 4 ? 1 : (op & 7) == 5 ? z : 0;
	if ((op >= 0x70 && op <= 0x7f) || (op >= 0xe0 && op <= 0xe7) || (op >= 0xb0 && op <= 0xb7))
		return 1;
	if (op >= 0xb8 && op <= 0xbf)
		return z;
	if (op >= 0xa0 && op <= 0xa3)
		return in->address_size;
	switch (op) {
	case 0x6a: case 0x6b: case 0x80: case 0x82: case 0x83: case 0xa8: case 0xc0: case 0xc1: case 0xc6:
	case 0xcd: case 0xeb: case 0xd4: case 0xd5:
		return 1;
	case 0x68: case 0x69: case 0x81: case 0xa9: case 0xc7: case 0xe8: case 0xe9: case 0x9a: case 0xea:
		return z;
	case 0xc2: case 0xca:
		return 2;
	case 0xf6:
		return in->reg_field < 2 ? 1 : 0;
	case 0xf7:
		return in->reg_field < 2 ? z : 0;
	default:
		return 0;
	}
}

static bool take_prefixes(struct instruction *in, uint32_t *op)
{
	for (;;) {
		if (!take(in, 1, op))
			return false;
		switch (*op) {
		case 0x26: in->segment = SEG_ES; break;
		case 0x2e: in->segment = SEG_CS; break;
		case 0x36: in->segment = SEG_SS; break;
		case 0x3e: in->segment = SEG_DS; break;
		case 0x64: in->segment = SEG_FS; break;
		case 0x65: in->segment = SEG_GS; break;
		case 0x66: in->operand_size ^= 6; break;
		case 0x67: in->address_size ^= 6; break;
		case 0xf0: in->lock = 1; break;
		case 0xf2: case 0xf3: in->repeat = (uint8_t)*op; break;
		default: return true;
		}
	}
}

/* What the side table has for the instruction at `linear`; 0: nothing. */
uint32_t replaced_at(uint32_t linear)
{
	struct translation to;
	struct fault keep = machine.fault;

	if (!control.trap_count)
		return 0;
	if (in_trampolines(linear))
		return vcpu.cpl < 3 ? pair_find(TRAPS_OFFSET, TRAPS_SIZE, control.trap_count, linear) : 0;
	if (!translate(linear, 0, &to)) {
		machine.fault = keep;
		return 0;
	}
	return pair_find(TRAPS_OFFSET, TRAPS_SIZE, control.trap_count, to.physical | (linear & PAGE_MASK));
}

static bool same(const uint8_t *one, const uint8_t *other, uint32_t size)
{
	while (size && *one == *other) {
		one++;
		other++;
		size--;
	}
	return !size;
}

#define SEVERAL (~0u) /* no entry of the side table */

/* What the side table has for all places that have the same bytes as `here`: `before`, and as many behind these as
 * `size` says of an entry. 0: there is none; SEVERAL: it is not the same for all. */
static uint32_t alike(const uint8_t *here, uint32_t before, uint32_t behind, uint32_t (*size)(uint32_t entry))
{
	const struct {
		uint32_t physical, entry;
	} *traps = (const void *)(state + TRAPS_OFFSET);
	uint32_t count = control.trap_count < TRAPS_SIZE / 8 ? control.trap_count : TRAPS_SIZE / 8, found = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t entry = traps[i].entry, at = traps[i].physical - before, bytes = size(entry);

		if (!bytes || bytes > behind || traps[i].physical < before || !is_ram(at) ||
		    !is_ram(at + before + bytes) || !same(ram + at, here, before + bytes))
			continue;
		if (found && found != entry)
			return SEVERAL;
		found = entry;
	}
	return found;
}

/* How many of up to `most` bytes at `linear` can be read. */
static uint32_t read_some(uint32_t linear, uint8_t *out, uint32_t most)
{
	uint32_t size = PAGE_SIZE - (linear & PAGE_MASK);

	if (size >= most)
		return guest_read(linear, out, most, 0) ? most : 0;
	if (!guest_read(linear, out, size, 0))
		return 0;
	return guest_read(linear + size, out + size, most - size, 0) ? most : size;
}

/* What the side table has for what is at `linear`, where the guest runs a copy of its kernel's code: it is the place
 * that looks alike, with so many bytes in front that only one does, of `size` (0: no such entry). `alone`: the bytes
 * themselves may tell, if none in front do. 0: nothing. */
uint32_t replaced_in_copy(uint32_t linear, uint32_t (*size)(uint32_t entry), bool alone)
{
	struct fault keep = machine.fault;
	uint8_t here[COPY_MOST_BEFORE + COPY_MOST_BEHIND];
	uint32_t found = SEVERAL;

	if (!control.trap_count)
		return 0;
	uint32_t behind = read_some(linear, here + COPY_MOST_BEFORE, COPY_MOST_BEHIND);

	for (uint32_t before = COPY_BEFORE; found == SEVERAL && before <= COPY_MOST_BEFORE; before *= 2) {
		uint8_t *from = here + COPY_MOST_BEFORE - before;

		if (read_some(linear - before, from, before) < before)
			break;
		found = alike(from, before, behind, size);
	}
	if (alone && (!found || found == SEVERAL))
		found = alike(here + COPY_MOST_BEFORE, 0, behind, size);
	machine.fault = keep;
	return found == SEVERAL ? 0 : found;
}

static uint32_t around_halt(uint32_t entry)
{
	(void)entry;
	return 1 + COPY_BEFORE;
}

/* An instruction whose first byte is HLT for the guest's CPU, as it was. */
static void restore_original(struct instruction *in, uint32_t linear)
{
	if (in->bytes[0] != 0xf4)
		return;
	uint32_t was = replaced_at(linear);

	if (!was)
		was = replaced_in_copy(linear, around_halt, false);
	if (was)
		in->bytes[0] = (uint8_t)was;
}

/* Decode the instruction at CS:`eip`. False with #PF or #GP noted where its bytes cannot be read or
 * make no sense. */
bool decode(uint32_t eip, struct instruction *in)
{
	uint32_t linear = vcpu.cs.base + eip, first = PAGE_SIZE - (linear & PAGE_MASK), op;
	uint32_t user = vcpu.cpl == 3 ? ACCESS_USER : 0;
	bool wide = vcpu.cs.access & 0x4000;

	memset(in, 0, sizeof(*in));
	in->segment = SEG_NONE;
	in->operand_size = in->address_size = wide ? 4 : 2;
	if (first > sizeof(in->bytes))
		first = sizeof(in->bytes);
	if (!guest_read(linear, in->bytes, first, user))
		return false;
	in->fetched = (uint8_t)first;
	struct fault beyond = { VECTOR_GP, 0, 1, 0 };

	if (first < sizeof(in->bytes)) {
		if (guest_read(linear + first, in->bytes + first, (uint32_t)sizeof(in->bytes) - first, user))
			in->fetched = sizeof(in->bytes);
		else
			beyond = machine.fault;
	}
	restore_original(in, linear);
	machine.fault = beyond; /* what it is if the instruction turns out longer than could be read */
	if (!take_prefixes(in, &op))
		return false;
	if (op == 0x0f) {
		in->opcode_map = 1;
		if (!take(in, 1, &op))
			return false;
		if (op == 0x38 || op == 0x3a) {
			in->opcode_map = op == 0x38 ? 2 : 3;
			if (!take(in, 1, &op))
				return false;
		}
	}
	in->opcode = (uint8_t)op;
	if ((in->opcode_map == 0 ? one_byte_has_modrm(op) : in->opcode_map > 1 || two_byte_has_modrm(op)) &&
	    !take_modrm(in))
		return false;
	uint32_t size = immediate_size(in);

	if (!take(in, size, &in->immediate))
		return false;
	return !(in->opcode_map == 0 && (op == 0x9a || op == 0xea)) || take(in, 2, &in->far_selector);
}

/* Linear address of a memory operand of `size` bytes, with the guest's own segment checks. */
bool operand_linear(const struct operand *operand, uint32_t size, bool write, uint32_t *linear)
{
	struct segment segment;
	uint32_t vector = operand->segment == SEG_SS ? VECTOR_SS : VECTOR_GP;

	if (operand->offset - HOLE < HOLE_SIZE) {
		*linear = operand->offset; /* the contract's own data is reached whatever base and limit */
		return true;
	}
	segment_of(operand->segment, &segment);
	*linear = segment.base + operand->offset;
	bool code = segment.access & ACCESS_CODE, bit = segment.access & ACCESS_WRITABLE;

	if ((write ? code || !bit : code && !bit) || !segment_reaches(&segment, operand->offset, size))
		return raise_fault(vector, 0);
	return true;
}

bool operand_read(const struct operand *operand, uint32_t size, uint32_t *value)
{
	uint32_t linear;

	if (!operand->memory) {
		*value = register_read(operand->reg, size);
		return true;
	}
	return operand_linear(operand, size, false, &linear) && memory_read(linear, size, value);
}

/* Could `size` bytes be written? Raises what a write would. */
bool operand_probe_write(const struct operand *operand, uint32_t size)
{
	uint32_t linear;

	return !operand->memory || (operand_linear(operand, size, true, &linear) &&
				    guest_probe_write(linear, size, vcpu.cpl == 3 ? ACCESS_USER : 0));
}

bool operand_write(const struct operand *operand, uint32_t size, uint32_t value)
{
	uint32_t linear;

	if (!operand->memory) {
		register_write(operand->reg, size, value);
		return true;
	}
	return operand_linear(operand, size, true, &linear) && memory_write(linear, size, value);
}
