/* Formatted output. */
#include "unix.h"

#define BUFFER_BYTES 256

struct output {
	int descriptor;
	unsigned length;
	char bytes[BUFFER_BYTES];
};

static void flush(struct output *output)
{
	unsigned done = 0;

	while (done < output->length) {
		int written = write(output->descriptor, output->bytes + done, output->length - done);

		if (written <= 0)
			break;
		done += (unsigned)written;
	}
	output->length = 0;
}

static void put(struct output *output, char character)
{
	if (output->length == BUFFER_BYTES)
		flush(output);
	output->bytes[output->length++] = character;
}

static void put_text(struct output *output, const char *text, int width, int left)
{
	int fill = width - (int)string_length(text);

	for (; !left && fill > 0; fill--)
		put(output, ' ');
	while (*text)
		put(output, *text++);
	for (; fill > 0; fill--)
		put(output, ' ');
}

/* The digits of a number, at the end of `room`. */
static const char *digits(char room[12], unsigned value, unsigned base, int negative)
{
	char *at = room + 11;

	*at = 0;
	do
		*--at = "0123456789abcdef"[value % base];
	while (value /= base);
	if (negative)
		*--at = '-';
	return at;
}

static void print_list(int descriptor, const char *format, va_list arguments)
{
	struct output output = { .descriptor = descriptor };

	for (; *format; format++) {
		int width = 0, left = 0, number;
		char room[12];

		if (*format != '%') {
			put(&output, *format);
			continue;
		}
		if (*++format == '-') {
			left = 1;
			format++;
		}
		while (*format >= '0' && *format <= '9')
			width = width * 10 + *format++ - '0';
		switch (*format) {
		case 's':
			put_text(&output, va_arg(arguments, const char *), width, left);
			break;
		case 'c':
			put(&output, (char)va_arg(arguments, int));
			break;
		case 'd':
			number = va_arg(arguments, int);
			put_text(&output, digits(room, number < 0 ? -(unsigned)number : (unsigned)number, 10, number < 0),
				 width, left);
			break;
		case 'u':
			put_text(&output, digits(room, va_arg(arguments, unsigned), 10, 0), width, left);
			break;
		case 'x':
			put_text(&output, digits(room, va_arg(arguments, unsigned), 16, 0), width, left);
			break;
		default:
			put(&output, *format);
		}
	}
	flush(&output);
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(STANDARD_OUTPUT, format, arguments);
	va_end(arguments);
}

void print_to(int descriptor, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_list(descriptor, format, arguments);
	va_end(arguments);
}
