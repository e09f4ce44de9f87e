/* The PC's keyboard, a key at a time, in the first scan code set, which the 8042 makes of every keyboard's codes. American
 * layout. */
#include "keyboard.h"

#include "console.h"
#include "pc.h"
#include "x86.h"

#define IRQ_KEYBOARD 1
#define DATA 0x60
#define STATUS 0x64
#define STATUS_FULL 0x01

#define RELEASED 0x80
#define KEY_EXTENDED 0xe0		/* the next code is of a key that the first PC did not have */
#define KEY_CONTROL 0x1d
#define KEY_LEFT_SHIFT 0x2a
#define KEY_RIGHT_SHIFT 0x36

static const char plain[] =
	"\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] =
	"\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

static int shift, control, extended;

static void on_key(struct interrupt_frame *frame)
{
	uint8_t code = inb(DATA), key = code & ~RELEASED;
	int pressed = !(code & RELEASED), known = !extended || key == KEY_CONTROL;
	char character;

	(void)frame;
	extended = code == KEY_EXTENDED;
	if (extended || !known)
		return;
	if (key == KEY_LEFT_SHIFT || key == KEY_RIGHT_SHIFT) {
		shift = pressed;
		return;
	}
	if (key == KEY_CONTROL) {
		control = pressed;
		return;
	}
	character = pressed && key < sizeof(plain) ? (shift ? shifted : plain)[key] : 0;
	if (character)
		console_typed(control ? character & 0x1f : character);
}

void keyboard_init(void)
{
	irq_handle(IRQ_KEYBOARD, on_key);
	while (inb(STATUS) & STATUS_FULL)	/* what was typed before would keep the next key from interrupting */
		inb(DATA);
}
