/* The registers of a VGA (IBM VGA/XGA Technical Reference, chapter 2). The VMM has set them as firmware
 * does before the start, and reads them from the control block whenever it shows the screen, so that no
 * access needs an exit. */
#include "monitor.h"

enum { ATTRIBUTE = 0x3c0, ATTRIBUTE_READ, MISC_WRITE, SEQUENCER = 0x3c4, SEQUENCER_DATA, DAC_MASK, DAC_READ,
       DAC_WRITE, DAC_DATA, FEATURE_READ, MISC_READ = 0x3cc, GRAPHICS = 0x3ce, GRAPHICS_DATA,
       CRTC = 0x3d4, CRTC_DATA, STATUS = 0x3da };
enum { CRTC_REGISTERS = 0x19, ATTRIBUTE_REGISTERS = 0x15 };
enum { MISC_COLOUR = 1, RETRACE_END = 0x11, PROTECTED = 0x80, OVERFLOW = 7, LINE_COMPARE_8 = 0x10 };
enum { DISPLAY_DISABLED = 1, VERTICAL_RETRACE = 8 };

#define vga control.vga

/* Bits that exist; the others read 0. */
static const uint8_t sequencer_bits[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t graphics_bits[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t control_bits[5] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f }; /* attribute registers 0x10-0x14 */

/* The CRTC and the status register are at 0x3Bx or 0x3Dx, as miscellaneous output says: the colour address
 * of `port`, or 0 where nothing answers. */
static uint32_t decoded(uint32_t port)
{
	uint32_t group = port & 0xfff0;

	if (group == 0x3c0)
		return port;
	return group == (vga.misc & MISC_COLOUR ? 0x3d0 : 0x3b0) ? (port & 0xf) | 0x3d0 : 0;
}

static uint32_t dac_read(void)
{
	uint32_t value = vga.dac[(vga.dac_read * 3 + vga.dac_part % 3) % sizeof(vga.dac)];

	if (++vga.dac_part >= 3) {
		vga.dac_part = 0;
		vga.dac_read++;
	}
	return value;
}

static void dac_write(uint32_t value)
{
	vga.dac_cache[vga.dac_part % 3] = value & 0x3f;
	if (++vga.dac_part >= 3) {
		vga.dac_part = 0;
		memcpy(&vga.dac[vga.dac_write * 3], vga.dac_cache, 3);
		vga.dac_write++;
	}
}

/* Loops that wait for a retrace, or for its end, are over at once: the bits alternate. */
static uint32_t status_read(void)
{
	vga.attribute_data = 0;
	vga.status ^= DISPLAY_DISABLED | VERTICAL_RETRACE;
	return vga.status;
}

uint32_t vga_in(uint32_t port)
{
	switch (decoded(port)) {
	case 0:
		exit_prepare(port, 0, 1, 1, 0);
		return exit_to_vmm(EXIT_PORT_IN);
	case ATTRIBUTE: return vga.attribute_data ? 0 : vga.attribute_index;
	case ATTRIBUTE_READ: return vga.attributes[vga.attribute_index & 0x1f];
	case SEQUENCER: return vga.sequencer_index;
	case SEQUENCER_DATA: return vga.sequencer[vga.sequencer_index & 7];
	case DAC_MASK: return vga.dac_mask;
	case DAC_READ: return vga.dac_state;
	case DAC_WRITE: return vga.dac_write;
	case DAC_DATA: return dac_read();
	case FEATURE_READ: return vga.feature;
	case MISC_READ: return vga.misc;
	case GRAPHICS: return vga.graphics_index;
	case GRAPHICS_DATA: return vga.graphics[vga.graphics_index & 15];
	case CRTC: return vga.crtc_index;
	case CRTC_DATA: return vga.crtc_index < CRTC_REGISTERS ? vga.crtc[vga.crtc_index] : 0;
	case STATUS: return status_read();
	default: return 0;
	}
}

static void attribute_write(uint32_t value)
{
	uint32_t index = vga.attribute_index & 0x1f;

	if (!vga.attribute_data)
		vga.attribute_index = value & 0x3f;
	else if (index < 0x10)
		vga.attributes[index] = value & 0x3f;
	else if (index < ATTRIBUTE_REGISTERS)
		vga.attributes[index] = value & control_bits[index - 0x10];
	vga.attribute_data ^= 1;
}

static void crtc_write(uint32_t value)
{
	uint32_t index = vga.crtc_index;

	if (index >= CRTC_REGISTERS)
		return;
	if (vga.crtc[RETRACE_END] & PROTECTED && index <= OVERFLOW) {
		if (index != OVERFLOW)
			return;
		value = (vga.crtc[OVERFLOW] & ~LINE_COMPARE_8) | (value & LINE_COMPARE_8);
	}
	vga.crtc[index] = (uint8_t)value;
}

void vga_out(uint32_t port, uint32_t value)
{
	switch (decoded(port)) {
	case 0:
		exit_prepare(port, 0, 1, 1, value);
		exit_to_vmm(EXIT_PORT_OUT);
		break;
	case ATTRIBUTE: attribute_write(value); break;
	case MISC_WRITE: vga.misc = value & ~0x10; break;
	case SEQUENCER: vga.sequencer_index = value & 7; break;
	case SEQUENCER_DATA:
		vga.sequencer[vga.sequencer_index & 7] = value & sequencer_bits[vga.sequencer_index & 7];
		vga_memory_update();
		break;
	case DAC_MASK: vga.dac_mask = (uint8_t)value; break;
	case DAC_READ:
		vga.dac_read = (uint8_t)value;
		vga.dac_part = 0;
		vga.dac_state = 3;
		break;
	case DAC_WRITE:
		vga.dac_write = (uint8_t)value;
		vga.dac_part = 0;
		vga.dac_state = 0;
		break;
	case DAC_DATA: dac_write(value); break;
	case GRAPHICS: vga.graphics_index = value & 15; break;
	case GRAPHICS_DATA:
		vga.graphics[vga.graphics_index & 15] = value & graphics_bits[vga.graphics_index & 15];
		vga_memory_update();
		break;
	case CRTC: vga.crtc_index = (uint8_t)value; break;
	case CRTC_DATA: crtc_write(value); break;
	case STATUS: vga.feature = value & 0x10; break;
	}
}
