/* What most programs need. */
#include "unix.h"

void handler_return(void);

signal_handler *signal(int number, signal_handler *handler)
{
	return (signal_handler *)signal_action(number, (void *)handler, handler_return);
}

int wait(int *status)
{
	return waitpid(-1, status, 0);
}

size_t string_length(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int string_equal(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

char *string_find(const char *text, const char *part)
{
	size_t length = string_length(part);

	for (; ; text++) {
		if (memory_equal(text, part, length))
			return (char *)text;
		if (!*text)
			return NULL;
	}
}

void string_copy(char *to, const char *from, size_t room)
{
	while (--room && *from)
		*to++ = *from++;
	*to = 0;
}

int number_of(const char *digits)
{
	int number = 0;

	if (!*digits)
		return -1;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9' || number > 100000000)
			return -1;
		number = number * 10 + *digits - '0';
	}
	return number;
}

/* The `rep` forms keep the compiler from recognising the loops and calling the function from within itself. */
void *memset(void *at, int value, size_t length)
{
	void *to = at;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
	return at;
}

void *memcpy(void *to, const void *from, size_t length)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(length) : : "memory");
	return to;
}

/* Looks no further than the first difference. */
int memory_equal(const void *one, const void *other, size_t length)
{
	const char *left = one, *right = other;

	for (; length; length--, left++, right++)
		if (*left != *right)
			return 0;
	return 1;
}

void *allocate(size_t bytes)
{
	void *memory = sbrk((int)((bytes + 3) & ~3u));

	if ((int)memory < 0 && (int)memory >= -ENOTEMPTY) {
		print_to(STANDARD_ERROR, "out of memory\n");
		exit(1);
	}
	return memory;
}

const char *error_text(int error)
{
	static const char *const texts[] = {
		[ENOENT] = "no such file", [ESRCH] = "no such process", [EINTR] = "interrupted",
		[E2BIG] = "too many arguments", [ENOEXEC] = "not a program", [EBADF] = "not an open file",
		[ECHILD] = "no children", [EAGAIN] = "no more processes", [ENOMEM] = "out of memory",
		[EFAULT] = "bad address", [EEXIST] = "file exists", [ENOTDIR] = "not a directory",
		[EISDIR] = "is a directory", [EINVAL] = "invalid argument", [ENFILE] = "too many open files",
		[EMFILE] = "too many open files", [EFBIG] = "file too large", [ENOSPC] = "no space left",
		[ESPIPE] = "no places in it", [EPERM] = "not permitted", [EPIPE] = "nobody reads it",
		[ENAMETOOLONG] = "name too long", [ENOSYS] = "no such call", [ENOTEMPTY] = "directory not empty",
	};
	unsigned index = (unsigned)-error;

	return index < sizeof(texts) / sizeof(texts[0]) && texts[index] ? texts[index] : "unknown error";
}

int read_line(int descriptor, char *line, int room)
{
	int length = 0, got;
	char character;

	for (;;) {
		while ((got = read(descriptor, &character, 1)) == -EINTR)
			;
		if (got != 1) {
			if (!length)
				return -1;
			break;
		}
		if (character == '\n')
			break;
		if (length < room - 1)
			line[length++] = character;
	}
	line[length] = 0;
	return length;
}

int complain(const char *program, const char *what, int error)
{
	print_to(STANDARD_ERROR, "%s: %s: %s\n", program, what, error_text(error));
	return 1;
}
