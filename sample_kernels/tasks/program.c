/* The printf of programs. */
#include "program.h"

#include <stdarg.h>

#define LINE 120

char *library_decimal(uint32_t value, char *to);

static char *put_text(char *to, const char *text)
{
	while (*text)
		*to++ = *text++;
	return to;
}

static char *put_hexadecimal(char *to, uint32_t value)
{
	int shift = 28;

	while (shift && !(value >> shift))
		shift -= 4;
	to = put_text(to, "0x");
	for (; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[value >> shift & 15];
	return to;
}

void say(const char *format, ...)
{
	char line[LINE], *to = line;
	uint16_t data;
	va_list arguments;

	va_start(arguments, format);
	for (; *format; format++) {
		if (*format != '%')
			*to++ = *format;
		else if (*++format == 's')
			to = put_text(to, va_arg(arguments, const char *));
		else if (*format == 'u')
			to = library_decimal(va_arg(arguments, uint32_t), to);
		else
			to = put_hexadecimal(to, va_arg(arguments, uint32_t));
	}
	va_end(arguments);
	*to = 0;
	__asm__("movw %%ds, %0" : "=r"(data));
	write_far(line, data);
}
