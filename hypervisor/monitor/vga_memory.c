/* The memory of a VGA: four planes of 64 KiB behind a window at 0xa0000-0xbffff (IBM VGA/XGA Technical
 * Reference, "Graphics Controller Registers").
 *
 * In text mode and in the 256-colour mode of the BIOS the registers leave every byte as it is written, so
 * the window is then plain guest RAM, as fast as any; the planes take that content over when the registers
 * change. In all other modes each access traps and is worked out here, byte by byte. */
#include "monitor.h"

#define vga control.vga

enum { MAP_MASK = 2, MEMORY_MODE = 4 };					     /* sequencer */
enum { SET_RESET, ENABLE_SET_RESET, COMPARE, ROTATE, READ_PLANE, MODE, MISC, DONT_CARE, BIT_MASK }; /* graphics */
enum { UNCHAINED = 4, CHAIN4 = 8 };					     /* memory mode */
enum { READ_COMPARES = 8, HOST_ODD_EVEN = 0x10 };			     /* graphics mode */

static uint8_t *plane(uint32_t number) { return state + VGA_OFFSET + (number & 3) * VGA_PLANE_SIZE; }

static bool chained(void) { return vga.sequencer[MEMORY_MODE] & CHAIN4; }

static bool odd_even(void) { return vga.graphics[MODE] & HOST_ODD_EVEN; }

/* --- Plain RAM ----------------------------------------------------------------------------------------- */

/* Bytes are stored as they come, and read back as they are. */
static bool unchanging(void)
{
	return !(vga.graphics[MODE] & (3 | READ_COMPARES)) && !vga.graphics[ENABLE_SET_RESET] &&
	       !vga.graphics[ROTATE] && vga.graphics[BIT_MASK] == 0xff;
}

static uint32_t plain_by_registers(uint32_t size)
{
	if (!unchanging() || size > VGA_PLANE_SIZE)
		return VGA_PLAIN_NONE;
	if (chained())
		return vga.sequencer[MAP_MASK] == 0xf ? VGA_PLAIN_CHAIN4 : VGA_PLAIN_NONE;
	return odd_even() && !(vga.sequencer[MEMORY_MODE] & UNCHAINED) && vga.sequencer[MAP_MASK] == 3 &&
	       !(vga.graphics[READ_PLANE] & 2) ? VGA_PLAIN_ODD_EVEN : VGA_PLAIN_NONE;
}

/* Move the window's content from RAM into the planes, or back. */
static void exchange(bool to_planes)
{
	uint32_t bits = vga.plain == VGA_PLAIN_CHAIN4 ? 3 : 1;

	for (uint32_t offset = 0; offset < vga.window_size; offset++) {
		uint8_t *in_plane = plane(offset & bits) + (offset & ~bits), *in_ram = ram + vga.window + offset;

		if (to_planes)
			*in_plane = *in_ram;
		else
			*in_ram = *in_plane;
	}
}

/* The registers have changed: find the window anew, and whether it is plain. */
void vga_memory_update(void)
{
	static const uint32_t base[4] = { 0xa0000, 0xa0000, 0xb0000, 0xb8000 };
	static const uint32_t length[4] = { 0x20000, 0x10000, 0x8000, 0x8000 };
	uint32_t map = vga.graphics[MISC] >> 2 & 3, plain = plain_by_registers(length[map]);

	if (plain == vga.plain && base[map] == vga.window && length[map] == vga.window_size)
		return;
	if (vga.plain)
		exchange(true);
	vga.plain = (uint8_t)plain;
	vga.window = base[map];
	vga.window_size = length[map];
	if (vga.plain)
		exchange(false);
	pool_flush_all();
}

/* --- Byte by byte -------------------------------------------------------------------------------------- */

/* A bit for each plane, as a byte for each plane. */
static uint32_t spread(uint32_t bits)
{
	return ((bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21) * 0xff;
}

static uint32_t planes_read(uint32_t at)
{
	return plane(0)[at] | (uint32_t)plane(1)[at] << 8 | (uint32_t)plane(2)[at] << 16 | (uint32_t)plane(3)[at] << 24;
}

static void latch_load(uint32_t at)
{
	uint32_t all = planes_read(at);

	memcpy(vga.latch, &all, 4);
}

/* Where `offset` in the window leads: the address within the planes, and the planes (a bit each) that it selects. */
static uint32_t address(uint32_t offset, uint32_t *selected)
{
	offset &= VGA_PLANE_SIZE - 1;
	if (chained()) {
		*selected = 1u << (offset & 3);
		return offset & ~3u;
	}
	*selected = odd_even() ? 5u << (offset & 1) : 0xf;
	return odd_even() ? offset & ~1u : offset;
}

static uint8_t read_byte(uint32_t offset)
{
	uint32_t selected, at = address(offset, &selected);

	latch_load(at);
	if (vga.graphics[MODE] & READ_COMPARES) {
		uint32_t differs = (planes_read(at) ^ spread(vga.graphics[COMPARE])) & spread(vga.graphics[DONT_CARE]);

		return (uint8_t)~(differs | differs >> 8 | differs >> 16 | differs >> 24);
	}
	if (chained())
		return plane(offset)[at];
	return plane(odd_even() ? (vga.graphics[READ_PLANE] & 2) | (offset & 1) : vga.graphics[READ_PLANE])[at];
}

/* What the planes take, a byte each, before the map mask chooses among them. */
static uint32_t written(uint8_t value)
{
	uint32_t latch, mask = vga.graphics[BIT_MASK] * 0x01010101u, set = spread(vga.graphics[SET_RESET]), data;
	uint32_t turn = vga.graphics[ROTATE] & 7, enabled = spread(vga.graphics[ENABLE_SET_RESET]);
	uint8_t rotated = (uint8_t)(value >> turn | value << (8 - turn));

	memcpy(&latch, vga.latch, 4);
	switch (vga.graphics[MODE] & 3) {
	case 1: return latch;
	case 2: data = spread(value); break;
	case 3: return (set & rotated * 0x01010101u & mask) | (latch & ~(rotated * 0x01010101u & mask));
	default: data = (rotated * 0x01010101u & ~enabled) | (set & enabled);
	}
	switch (vga.graphics[ROTATE] >> 3) {
	case 1: data &= latch; break;
	case 2: data |= latch; break;
	case 3: data ^= latch; break;
	}
	return (data & mask) | (latch & ~mask);
}

static void write_byte(uint32_t offset, uint8_t value)
{
	uint32_t selected, at = address(offset, &selected), data = written(value);

	selected &= vga.sequencer[MAP_MASK];
	for (uint32_t i = 0; i < 4; i++)
		if (selected >> i & 1)
			plane(i)[at] = (uint8_t)(data >> i * 8);
}

uint32_t vga_read(uint32_t physical, uint32_t size)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < size; i++)
		value |= (uint32_t)read_byte(physical + i - vga.window) << i * 8;
	return value;
}

void vga_write(uint32_t physical, uint32_t size, uint32_t value)
{
	for (uint32_t i = 0; i < size; i++)
		write_byte(physical + i - vga.window, (uint8_t)(value >> i * 8));
}
