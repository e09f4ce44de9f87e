/*
 * The places of an assembler text that may hold something sensitive: those that porter/prefilter.py finds, by the same
 * rules, at some hundred megabytes a second. Words come from the memory; the shape of a statement is here and there.
 * tests/porter/test_stage.py compares the two.
 */
#define _GNU_SOURCE
#include <string.h>

#include "stage.h"

enum class { PLAIN, SEPARATOR, PERCENT, DOLLAR, BACKSLASH, EQUALS };

static const unsigned char classes[256] = {
	['\n'] = SEPARATOR, [';'] = SEPARATOR, [':'] = SEPARATOR, ['/'] = SEPARATOR, ['}'] = SEPARATOR,
	[2] = SEPARATOR, ['%'] = PERCENT, ['$'] = DOLLAR, ['\\'] = BACKSLASH, ['='] = EQUALS,
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\f';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static bool is_letter(char c)
{
	c = lower(c);
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_symbol(char c)
{
	return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '$' || (unsigned char)c > 127;
}

enum { LONGEST = 31 };

/* The lower-case word of letters and digits at `at`. */
static struct text word_at(const char *at, const char *end, char buffer[LONGEST + 1])
{
	size_t size = 0;

	while (at + size < end && (is_letter(at[size]) || is_digit(at[size])))
		size++;
	for (size_t i = 0; i < size && i < LONGEST; i++)
		buffer[i] = lower(at[i]);
	return (struct text){ buffer, size };
}

static bool is_listed(const char *list, struct text word)
{
	return word.size && word.size <= LONGEST && listed(list, word);
}

/* What stands where a statement may begin. Sets *next to where to go on. */
static enum scanned statement(const char *at, const char *end, const char **next)
{
	char buffer[LONGEST + 1];

	while (at < end && is_space(*at))
		at++;
	*next = at;
	if (at < end && *at == '.') {
		struct text word = word_at(at + 1, end, buffer);
		const char *line_end = memchr(at, '\n', end - at);
		if (is_listed("hard directives", word))
			return TOO_HARD;
		/* A symbol that stands for a register. */
		if (is_listed("symbol directives", word) && memchr(at, '%', (line_end ? line_end : end) - at))
			return TOO_HARD;
		return NOTHING_FOUND;
	}
	while (at < end && is_letter(*at)) {
		struct text word = word_at(at, end, buffer);
		const char *after = at + word.size;
		*next = after;
		if (is_listed("mnemonics", word))
			return FOUND;
		if (after == end || !is_space(*after) || !is_listed("prefixes", word))
			return NOTHING_FOUND;
		while (after < end && is_space(*after))
			after++;
		at = after;
	}
	return NOTHING_FOUND;
}

/* Whether a sensitive register is named behind the percent sign, and not as a segment override. */
static bool is_register(const char *at, const char *end)
{
	char name[3];
	const char *after;

	while (at < end && is_space(*at))
		at++;
	for (size_t size = 2; size <= 3; size++) {
		if ((size_t)(end - at) < size)
			return false;
		for (size_t i = 0; i < size; i++)
			name[i] = is_digit(at[i]) ? '#' : lower(at[i]);
		if (!listed("registers", (struct text){ name, size }))
			continue;
		after = at + size;
		if (after == end)
			return true;
		if (is_letter(*after) || is_digit(*after) || *after == '_' || *after == ':')
			continue;
		while (after < end && is_blank(*after))
			after++;
		if (after == end || *after != ':')
			return true;
	}
	return false;
}

/* Whether the dollar sign follows the mnemonic of a jump or call, as in one by two immediates. */
static bool is_far(const char *start, const char *at)
{
	const char *back = at;
	char buffer[LONGEST + 1];

	while (back > start && is_space(back[-1]))
		back--;
	if (back == at)
		return false;
	for (const char *dot = back; dot > start && back - dot <= 4; dot--)
		if (dot[-1] == '.' && is_listed("encodings", word_at(dot, back, buffer))) {
			back = dot - 1;
			break;
		}
	const char *word = back;
	while (word > start && is_letter(word[-1]) && back - word < 5)
		word--;
	for (; back - word >= 3; word++)
		if (is_listed("far", word_at(word, back, buffer)))
			return true;
	return false;
}

/* Whether the equals sign gives a register another name: see porter/register_symbols.py. */
static bool is_register_symbol(const char *start, const char *at, const char *end)
{
	const char *name, *value = at + 1;

	while (value < end && (is_space(*value) || *value == '='))
		value++;
	if (value == end || *value != '%')
		return false;
	while (at > start && (is_space(at[-1]) || at[-1] == '='))
		at--;
	for (name = at; name > start && is_symbol(name[-1]); name--)
		;
	if (name == at)
		return false;
	while (name > start && is_space(name[-1]))
		name--;
	return name == start || strchr("\n;:", name[-1]);
}

/* Whether the statements of a line can be taken one by one. */
static bool is_divisible(const char *from, const char *to)
{
	for (const char *at = from; at < to; at++) {
		if (strchr("\"'#/", *at))
			return false;
		if (to - at >= 3 && (!strncasecmp(at, "hlt", 3) || !strncasecmp(at, "rep", 3)))
			return false;
	}
	return true;
}

/* What around `at` is looked up at once: the statement or the line, without blanks around it. */
static struct text unit_at(struct text text, const char *at)
{
	const char *end = text.start + text.size;
	const char *from = memrchr(text.start, '\n', at - text.start), *to = memchr(at, '\n', end - at), *semicolon;

	bool divisible;

	from = from ? from + 1 : text.start;
	to = to ? to : end;
	divisible = is_divisible(from, to);
	if (divisible) {
		semicolon = memrchr(from, ';', at - from);
		from = semicolon ? semicolon + 1 : from;
		semicolon = memchr(at, ';', to - at);
		to = semicolon ? semicolon : to;
	}
	while (from < to && is_space(*from))
		from++;
	while (from < to && is_space(to[-1]))
		to--;
	while (divisible) {
		const char *label = from;
		while (label < to && (is_letter(*label) || is_digit(*label) || strchr("_.$", *label)))
			label++;
		if (label == from || label == to || *label != ':')
			break;
		for (label++; label < to && is_space(*label); label++)
			;
		if (label == to)
			break;
		from = label;
	}
	return (struct text){ from, to - from };
}

enum scanned scan(struct text text, bool (*found_in)(void *context, struct text unit), void *context)
{
	const char *start = text.start, *end = start + text.size, *at = start;
	enum scanned result = NOTHING_FOUND, found;

	/* A link-time optimiser's code is not in the text. */
	if (memmem(start, text.size, ".gnu.lto_", 9))
		return TOO_HARD;
	found = statement(at, end, &at);
	for (;;) {
		if (found == TOO_HARD)
			return TOO_HARD;
		if (found == FOUND) {
			struct text unit = unit_at(text, at);
			if (!found_in(context, unit))
				return TOO_HARD;
			result = FOUND;
			at = unit.start + unit.size;
		}
		found = NOTHING_FOUND;
		while (at < end && classes[(unsigned char)*at] == PLAIN)
			at++;
		if (at == end)
			return result;
		switch (classes[(unsigned char)*at]) {
		case SEPARATOR:
			if (*at == '/' && at + 1 < end && at[1] == '*')
				return TOO_HARD;
			found = statement(at + 1, end, &at);
			break;
		case PERCENT:
			at++;
			if (is_register(at, end))
				found = FOUND;
			break;
		case DOLLAR:
			if (is_far(start, at))
				found = FOUND;
			else
				at++;
			break;
		case EQUALS:
			if (is_register_symbol(start, at, end))
				return TOO_HARD;
			at++;
			break;
		default: {
			/* In a string it is an escape, elsewhere perhaps the argument of a macro. */
			const char *from = memrchr(start, '\n', at - start);
			from = from ? from + 1 : start;
			if (!memchr(from, '"', at - from))
				return TOO_HARD;
			at++;
		}
		}
	}
}
