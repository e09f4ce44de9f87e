/* The VGA's text screen: two bytes of memory for each character, and a cursor that is moved by registers. */
#include "screen.h"

#include "memory.h"
#include "x86.h"

#define COLUMNS 80u
#define ROWS 25u
#define CELLS ((uint16_t *)VIRTUAL(0xb8000))
#define BLANK 0x0720			/* light grey on black */

#define CRTC_INDEX 0x3d4
#define CRTC_DATA 0x3d5
#define CURSOR_HIGH 14
#define CURSOR_LOW 15

static unsigned column, row;

static void clear(unsigned first, unsigned end)
{
	for (unsigned cell = first; cell < end; cell++)
		CELLS[cell] = BLANK;
}

static void new_line(void)
{
	if (++row < ROWS)
		return;
	row--;
	memcpy(CELLS, CELLS + COLUMNS, (ROWS - 1) * COLUMNS * sizeof(uint16_t));
	clear((ROWS - 1) * COLUMNS, ROWS * COLUMNS);
}

void screen_put(char character)
{
	switch (character) {
	case '\n':
		new_line();
		return;
	case '\r':
		column = 0;
		return;
	case '\b':
		if (column)
			column--;
		return;
	case '\t':
		do
			screen_put(' ');
		while (column % 8);
		return;
	}
	if (column == COLUMNS) {
		column = 0;
		new_line();
	}
	CELLS[row * COLUMNS + column++] = (BLANK & 0xff00) | (uint8_t)character;
}

void screen_show_cursor(void)
{
	unsigned at = row * COLUMNS + (column < COLUMNS ? column : COLUMNS - 1);

	outb(CRTC_INDEX, CURSOR_HIGH);
	outb(CRTC_DATA, at >> 8 & 0xff);
	outb(CRTC_INDEX, CURSOR_LOW);
	outb(CRTC_DATA, at & 0xff);
}

void screen_init(void)
{
	clear(0, ROWS * COLUMNS);
	column = row = 0;
}
