/*
 * `ring3 as`: port a text by what the porter has said of each of its sensitive statements before, and become the
 * assembler, whose standard input is then the ported text, with the macros in front. A text that needs nothing goes to
 * the assembler as it is.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage.h"

/* What a remembered unit is like: bits of the first byte of its value (porter/stage_file.py). */
enum { HAS_SITES = 1, STI_LAST = 2, HLT_FIRST = 4 };

struct output {
	const char *start, *end, *copied;	/* of the text, and how much of it is in the output */
	char *data;
	size_t size, room;
	bool changed;
	/* The last unit with sites: its bits, where it begins, and what was in the output in front of it. */
	unsigned char bits;
	const char *last, *copied_before;
	size_t size_before;
};

static bool append(struct output *out, const char *data, size_t size)
{
	if (out->room - out->size < size) {
		size_t room = 2 * out->room + size + 65536;
		char *grown = realloc(out->data, room);
		if (!grown)
			return false;
		out->data = grown;
		out->room = room;
	}
	memcpy(out->data + out->size, data, size);
	out->size += size;
	return true;
}

/*
 * Move *end, which is in the line that begins at `line`, in front of the comment that the line ends with. False where
 * what seems to be a comment may be a character.
 */
static bool skip_comment(const char *line, const char **end)
{
	bool quoted = false, blank = true;

	for (const char *at = line; at < *end; at++) {
		if (*at == '#' || (*at == '/' && (blank || (at + 1 < *end && at[1] == '/')))) {
			*end = at;
			return !quoted;
		}
		if (*at == '"')
			for (at++; at < *end && *at != '"'; at++)
				at += *at == '\\';
		quoted |= *at == '\'';
		blank &= *at == ' ' || *at == '\t';
	}
	return true;
}

/*
 * The last word in front of a unit, without labels and comments, where that could be a prefix of the instruction that
 * the unit begins with. False where nobody can tell.
 */
static bool find_prefix(const struct output *out, const char *unit, const char **prefix)
{
	const char *end = unit, *start, *line, *before;
	char word[8];

	for (;;) {
		while (end > out->start && strchr(" \t\r\n\f\v;", end[-1]))
			end--;
		line = memrchr(out->start, '\n', end - out->start);
		before = end;
		if (!skip_comment(line ? line + 1 : out->start, &end))
			return false;
		if (end < before)
			continue;
		if (end == out->start || end[-1] != ':')
			break;
		while (end > out->start && !strchr(" \t\r\n\f\v;", end[-1]))
			end--;
	}
	start = end;
	while (start > out->start && end - start < 8 && !strchr(" \t\r\n\f\v;:", start[-1]))
		start--;
	for (ptrdiff_t i = 0; i < end - start; i++)
		word[i] = start[i] | (start[i] >= 'A' && start[i] <= 'Z' ? 32 : 0);
	*prefix = listed("prefixes", (struct text){ word, end - start }) ? start : NULL;
	return true;
}

/* Whether a unit is a label and nothing else. */
static bool is_label(struct text unit)
{
	size_t size = 0;

	while (size < unit.size && (isalnum((unsigned char)unit.start[size]) || strchr("_.$", unit.start[size])))
		size++;
	return size && size + 1 == unit.size && unit.start[size] == ':';
}

/* Whether a unit is one string and nothing else, whatever words are in it. */
static bool is_string(struct text unit)
{
	const char *at = unit.start, *end = at + unit.size, *word;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	word = at;
	while (at < end && *at != ' ' && *at != '\t' && *at != '"')
		at++;
	if (!listed("string directives", (struct text){ word, at - word }))
		return false;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if (at == end || *at != '"')
		return false;
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at == end - 1;
}

static bool port_unit(void *context, struct text unit)
{
	struct output *out = context;
	struct text known;
	const char *joined = NULL;

	if (is_label(unit) || is_string(unit))
		return true;
	if (!recall('L', unit, &known) || !known.size)
		return false;
	if (!(known.start[0] & HAS_SITES))
		return true;
	/* Two statements that are one operation are remembered together. */
	if (known.start[0] & HLT_FIRST && out->bits & STI_LAST) {
		joined = out->last;
		out->copied = out->copied_before;
		out->size = out->size_before;
	} else {
		for (const char *prefix = unit.start; prefix; joined = prefix ? prefix : joined)
			if (!find_prefix(out, prefix, &prefix))
				return false;
	}
	if (joined) {
		unit = (struct text){ joined, unit.start + unit.size - joined };
		if (joined < out->copied || !recall('L', unit, &known) || !known.size)
			return false;
	}
	out->bits = known.start[0];
	out->last = unit.start;
	out->copied_before = out->copied;
	out->size_before = out->size;
	if (known.size - 1 == unit.size && !memcmp(known.start + 1, unit.start, unit.size))
		return true;
	out->changed = true;
	return append(out, out->copied, unit.start - out->copied) && append(out, known.start + 1, known.size - 1)
		&& (out->copied = unit.start + unit.size);
}

/* The whole of a file or pipe. */
static bool read_all(int fd, struct text *text)
{
	struct stat status;
	size_t room = 1 << 16, size = 0;
	char *data;
	ssize_t got;

	if (fstat(fd, &status) || S_ISDIR(status.st_mode))
		return false;
	if (S_ISREG(status.st_mode))
		room = status.st_size + 1;
	data = malloc(room);
	while (data && (got = read(fd, data + size, room - size)) != 0) {
		if (got < 0)
			return false;
		size += got;
		if (size == room)
			data = realloc(data, room *= 2);
	}
	*text = (struct text){ data, size };
	return data != NULL;
}

static bool write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t written = write(fd, data, size);
		if (written < 0)
			return false;
		data += written;
		size -= written;
	}
	return true;
}

/*
 * What the porter has said of a text as a whole: messages, which are shown, and the ported text behind a zero, empty where
 * nothing changes.
 */
static bool recall_whole(struct text text, struct text *ported)
{
	struct text known;
	size_t told;

	if (!recall('T', text, &known) || (told = strnlen(known.start, known.size)) == known.size)
		return false;
	write_all(2, known.start, told);
	*ported = (struct text){ known.start + told + 1, known.size - told - 1 };
	return true;
}

/* Make pieces the standard input of what comes next. */
static bool make_input(const struct text *pieces, size_t count)
{
	int fd = memfd_create("ported", 0);

	for (size_t i = 0; fd >= 0 && i < count; i++)
		if (!write_all(fd, pieces[i].start, pieces[i].size))
			fail("ported text", strerror(errno));
	return fd >= 0 && !lseek(fd, 0, SEEK_SET) && dup2(fd, 0) == 0 && !close(fd);
}

/* The word size of what the options make of code: 64, 32, or 0 where nobody knows. */
static int word_size(const char *real, struct text option)
{
	char key[8192];
	struct text value;
	int path;

	if (option.start)
		return listed("32-bit options", option) ? 32 : 64;
	if (!program_key(real, key, sizeof key, &path) || !recall('B', as_text(key), &value))
		return 0;
	return value.size == 2 && !memcmp(value.start, "32", 2) ? 32 : 64;
}

void assemble(int argc, char **argv)
{
	const char *real = getenv("RING3_AS"), *name = NULL;
	char **options = calloc(argc + 3, sizeof *options), **whole = calloc(argc + 2, sizeof *whole), marker[8192];
	struct text bits = { 0 }, text, macros, ported = { 0 };
	struct output out = { 0 };
	enum scanned found;
	int count = 1, size, fd;
	bool from_input, known;

	real = real && *real ? real : "as";
	if (!options || !whole)
		return;
	options[0] = whole[0] = (char *)real;
	memcpy(whole + 1, argv, argc * sizeof *argv);
	for (int i = 0; i < argc; i++) {
		struct text word = as_text(argv[i]);
		if (listed("telling assembler options", word))
			become(real, whole);
		if (listed_prefix("hard assembler options", word))
			return;
		if (word.start[0] != '-' || word.size == 1 || !strcmp(word.start, "--")) {
			if (name)
				return;		/* several */
			name = word.start[0] == '-' ? "-" : word.start;
			continue;
		}
		options[count++] = argv[i];
		if (listed("32-bit options", word) || listed("64-bit options", word))
			bits = word;
		if (listed("assembler options with a value", word) && i + 1 < argc)
			options[count++] = argv[++i];
	}
	size = word_size(real, bits);
	if (size == 64)
		become(real, whole);
	if (!size || (name && strpbrk(name, "\"\\\n")))
		return;
	from_input = !name || !strcmp(name, "-");
	fd = from_input ? 0 : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !read_all(fd, &text))
		return;
	if (fd)
		close(fd);
	if (from_input)
		name = "{standard input}";
	out.start = out.copied = text.start;
	out.end = text.start + text.size;
	found = scan(text, port_unit, &out);
	if (found != TOO_HARD && out.changed) {
		if (!append(&out, out.copied, out.end - out.copied))
			found = TOO_HARD;
		ported = (struct text){ out.data, out.size };
	}
	size = snprintf(marker, sizeof marker, "# 1 \"%s\"\n", name);
	known = (size_t)size < sizeof marker && recall('M', as_text(""), &macros)
		&& (found != TOO_HARD || recall_whole(text, &ported));
	if (!known || !ported.size) {
		if (from_input && !make_input(&text, 1))
			fail("standard input", strerror(errno));
		if (!known)
			return;
		become(real, whole);
	}
	if (!make_input((struct text[]){ macros, { marker, size }, ported }, 3))
		fail("ported text", strerror(errno));
	options[count++] = "--";
	become(real, options);
}
