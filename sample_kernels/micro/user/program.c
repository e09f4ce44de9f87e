#include "program.h"

#include <stdarg.h>

void name_register(const char *name)
{
	struct message message = { .type = NAMES_REGISTER };

	copy_text(message.text, name, TEXT_SIZE);
	call(NAMES, &message);
}

static unsigned ask_name(uint32_t how, const char *name)
{
	struct message message = { .type = how };

	copy_text(message.text, name, TEXT_SIZE);
	call(NAMES, &message);
	return message.words[0];
}

unsigned name_find(const char *name)
{
	return ask_name(NAMES_FIND, name);
}

unsigned name_look(const char *name)
{
	return ask_name(NAMES_LOOK, name);
}

const char *nth_word(const char *line, unsigned n, char *to, size_t size)
{
	size_t length = 0;

	for (;; n--) {
		while (*line == ' ')
			line++;
		if (!n)
			break;
		while (*line && *line != ' ')
			line++;
	}
	while (line[length] && line[length] != ' ' && length < size - 1) {
		to[length] = line[length];
		length++;
	}
	to[length] = 0;
	return line;
}

uint32_t number(const char *text)
{
	uint32_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (uint32_t)(*text++ - '0');
	return value;
}

int same(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

void copy_text(char *to, const char *from, size_t size)
{
	while (--size && *from)
		*to++ = *from++;
	*to = 0;
}

static char *put_number(char *to, char *end, uint32_t value)
{
	char digits[10];
	unsigned count = 0;

	do
		digits[count++] = (char)('0' + value % 10);
	while (value /= 10);
	while (count && to < end)
		*to++ = digits[--count];
	return to;
}

void print(const char *format, ...)
{
	static unsigned console;
	struct message message = { .type = CONSOLE_WRITE };
	char *to = message.text, *end = to + TEXT_SIZE - 1;
	const char *text;
	va_list arguments;

	va_start(arguments, format);
	for (; *format && to < end; format++) {
		if (*format != '%' || *++format == '%') {
			*to++ = *format;
		} else if (*format == 's') {
			for (text = va_arg(arguments, const char *); *text && to < end; text++)
				*to++ = *text;
		} else if (*format == 'd') {
			int value = va_arg(arguments, int);

			if (value < 0)
				*to++ = '-';
			to = put_number(to, end, value < 0 ? -(uint32_t)value : (uint32_t)value);
		} else {
			to = put_number(to, end, va_arg(arguments, uint32_t));
		}
	}
	va_end(arguments);
	if (!console)
		console = name_find("console");
	call(console, &message);
}
