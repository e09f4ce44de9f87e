/* The console: a 16550 at COM1, written by polling. */
#include "pc.h"
#include "x86.h"

#include <stdarg.h>

#define COM1 0x3f8
#define DATA (COM1 + 0)			/* with LCR_DIVISOR: low byte of the divisor */
#define INTERRUPT_ENABLE (COM1 + 1)	/* with LCR_DIVISOR: high byte */
#define FIFO_CONTROL (COM1 + 2)
#define LINE_CONTROL (COM1 + 3)
#define MODEM_CONTROL (COM1 + 4)
#define LINE_STATUS (COM1 + 5)

#define LCR_DIVISOR 0x80
#define LCR_8N1 0x03
#define LSR_TRANSMIT_EMPTY 0x20

void serial_init(void)
{
	outb(INTERRUPT_ENABLE, 0);
	outb(LINE_CONTROL, LCR_DIVISOR);
	outb(DATA, 1);			/* 115200 / 1 */
	outb(INTERRUPT_ENABLE, 0);
	outb(LINE_CONTROL, LCR_8N1);
	outb(FIFO_CONTROL, 0x07);	/* on, and both emptied */
	outb(MODEM_CONTROL, 0x03);	/* terminal ready, ready to send */
}

void serial_put(char character)
{
	while (!(inb(LINE_STATUS) & LSR_TRANSMIT_EMPTY))
		;
	outb(DATA, (uint8_t)character);
}

__attribute__((weak)) void console_put(char character)
{
	serial_put(character);
}

static void print_number(uint32_t value, uint32_t base)
{
	char digits[10];
	unsigned count = 0;

	do
		digits[count++] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (count)
		console_put(digits[--count]);
}

static void print_string(const char *text)
{
	while (*text) {
		if (*text == '\n')	/* a terminal's new line is two characters */
			console_put('\r');
		console_put(*text++);
	}
}

static void print_list(const char *format, va_list arguments)
{
	for (; *format; format++) {
		if (*format != '%') {
			print_string((char[]){ *format, 0 });
			continue;
		}
		switch (*++format) {
		case 's':
			print_string(va_arg(arguments, const char *));
			break;
		case 'c':
			console_put((char)va_arg(arguments, int));
			break;
		case 'd': {
			int value = va_arg(arguments, int);

			if (value < 0)
				console_put('-');
			print_number(value < 0 ? -(uint32_t)value : (uint32_t)value, 10);
			break;
		}
		case 'u':
			print_number(va_arg(arguments, uint32_t), 10);
			break;
		case 'x':
			print_string("0x");
			print_number(va_arg(arguments, uint32_t), 16);
			break;
		default:
			console_put(*format);
		}
	}
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
}

void panic(const char *format, ...)
{
	va_list arguments;

	cli();
	print("panic: ");
	va_start(arguments, format);
	print_list(format, arguments);
	va_end(arguments);
	print("\n");
	for (;;)
		hlt();
}
