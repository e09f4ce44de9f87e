/*
 * What the porter wrote down: porter/stage_file.py, which also says how. The file is believed only while every file
 * that its content depends on is as it was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stage.h"

static const char magic[] = "ring3 stage 1\n\n\n";	/* 16 characters, so that records are aligned */

struct record {
	uint32_t key_size, value_size, key_crc, value_crc;
	char key[];		/* the first character is its kind; the value follows */
};

enum { LISTS = 32 };

static const struct record **table;		/* by CRC of the key, open addressing */
static uint32_t buckets;			/* a power of two */
static uint32_t crcs[256];

/* A list of words, as a table of its own. */
struct list {
	const char *name;
	struct text words, *slots;
	uint32_t size;				/* of the table, a power of two */
};
static struct list lists[LISTS];
static size_t list_count;

static void make_crcs(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		crcs[i] = c;
	}
}

/* The CRC-32 of zlib, continued from that of what lies in front. */
static uint32_t crc(uint32_t before, struct text text)
{
	uint32_t c = ~before;

	for (size_t i = 0; i < text.size; i++)
		c = crcs[(c ^ (unsigned char)text.start[i]) & 255] ^ c >> 8;
	return ~c;
}

static struct text key_of(const struct record *record)
{
	return (struct text){ record->key, record->key_size };
}

static struct text value_of(const struct record *record)
{
	return (struct text){ record->key + record->key_size, record->value_size };
}

static bool is_sound(const struct record *record)
{
	return crc(0, key_of(record)) == record->key_crc && crc(0, value_of(record)) == record->value_crc;
}

static bool is_same(struct text one, struct text other)
{
	return one.size == other.size && !memcmp(one.start, other.start, one.size);
}

/* "SECONDS NANOSECONDS SIZE", as in the porter's file. */
static int describe(char *buffer, size_t size, const struct stat *status)
{
	return snprintf(buffer, size, "%lld %ld %lld", (long long)status->st_mtim.tv_sec, status->st_mtim.tv_nsec,
			(long long)status->st_size);
}

/* Whether the files of a directory are as they were when they were stamped. */
static bool is_fresh(const struct record *record)
{
	const char *at = record->key + record->key_size, *end = at + record->value_size;
	char path[4096], now[96];
	struct stat status;
	bool fresh;
	int fd;

	if (record->key_size > sizeof path)
		return false;
	memcpy(path, record->key + 1, record->key_size - 1);
	path[record->key_size - 1] = 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	for (fresh = fd >= 0; fresh && at < end; at += strlen(at) + 1) {
		const char *name = at;
		at += strlen(at) + 1;
		fresh = !fstatat(fd, name, &status, 0) && describe(now, sizeof now, &status) && !strcmp(now, at);
	}
	close(fd);
	return fresh;
}

/* The smallest power of two with room for twice as many. */
static uint32_t room_for(uint32_t count)
{
	return count < 2 ? 4 : 4u << (31 - __builtin_clz(count));
}

static bool add_list(const struct record *record)
{
	struct list *list = &lists[list_count];
	struct text word = { 0 };
	uint32_t count = 0;

	if (list_count == LISTS)
		return false;
	list->words = value_of(record);
	list->name = strndup(record->key + 1, record->key_size - 1);
	list_count++;
	while ((word = each_listed(list->name, word)).start)
		count++;
	list->size = room_for(count);
	list->slots = calloc(list->size, sizeof *list->slots);
	if (!list->name || !list->slots)
		return false;
	while ((word = each_listed(list->name, word)).start) {
		uint32_t slot = crc(0, word);
		while (list->slots[slot & (list->size - 1)].start)
			slot++;
		list->slots[slot & (list->size - 1)] = word;
	}
	return true;
}

static struct list *find_list(const char *name)
{
	for (size_t i = 0; i < list_count; i++)
		if (!strcmp(lists[i].name, name))
			return &lists[i];
	fail(name, "no such list in the porter's file: install ring3 again");
	return NULL;
}

struct text each_listed(const char *name, struct text previous)
{
	struct text words = find_list(name)->words;
	const char *end = words.start + words.size, *next = previous.start ? previous.start + previous.size + 1 : words.start;

	if (next >= end)
		return (struct text){ 0 };
	return (struct text){ next, strnlen(next, end - next) };
}

bool listed(const char *name, struct text word)
{
	struct list *list = find_list(name);

	for (uint32_t slot = crc(0, word); list->slots[slot & (list->size - 1)].start; slot++)
		if (is_same(list->slots[slot & (list->size - 1)], word))
			return true;
	return false;
}

bool listed_prefix(const char *name, struct text word)
{
	struct text prefix = { 0 };

	while ((prefix = each_listed(name, prefix)).start)
		if (prefix.size <= word.size && !memcmp(prefix.start, word.start, prefix.size))
			return true;
	return false;
}

/* The record at a position, which then moves on; NULL behind the last one, or where another process is writing one. */
static const struct record *next_record(const char *data, size_t size, size_t *position)
{
	const struct record *record = (const struct record *)(data + *position);
	size_t whole;

	if (*position + sizeof *record > size)
		return NULL;
	whole = sizeof *record + (size_t)record->key_size + record->value_size;
	if (!record->key_size || whole > size - *position)
		return NULL;
	*position += whole + (-whole & 3);
	return record;
}

/* Whether a record says that all that the others build on is in front of it, and is. */
static bool is_end(const struct record *record, struct text before)
{
	uint32_t sum;

	if (record->key[0] != 'E' || record->value_size != sizeof sum)
		return false;
	memcpy(&sum, value_of(record).start, sizeof sum);
	return sum == crc(0, before);
}

static bool read_all(const char *data, size_t size)
{
	const size_t first = sizeof magic - 1;
	size_t position = first, before = first;
	const struct record *record;
	uint32_t count = 0, slot;
	bool complete = false;

	if (size < first || memcmp(data, magic, first))
		return false;
	while (next_record(data, size, &position))
		count++;
	buckets = room_for(count);
	table = calloc(buckets, sizeof *table);
	for (position = first; table && (record = next_record(data, size, &position)) && position <= size;) {
		if (!complete) {
			if (!is_sound(record))
				return false;
			if (record->key[0] == 'S' && !is_fresh(record))
				return false;
			if (record->key[0] == 'W' && !add_list(record))
				return false;
			complete = is_end(record, (struct text){ data, before });
		}
		for (slot = record->key_crc; table[slot & (buckets - 1)]; slot++)
			;
		table[slot & (buckets - 1)] = record;
		before = position;
	}
	return complete;
}

bool memory_load(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char path[4096];
	struct stat status;
	char *data;
	int fd, length;

	make_crcs();
	if (cache && *cache)
		length = snprintf(path, sizeof path, "%s", cache);
	else if (home && *home)
		length = snprintf(path, sizeof path, "%s/.cache", home);
	else
		return false;
	if ((size_t)length > sizeof path - 64)
		return false;
	snprintf(path + length, sizeof path - length, "/ring3/stage-%08x", crc(0, as_text(stage_directory)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_uid != geteuid()) {
		close(fd);
		return false;
	}
	data = malloc(status.st_size + 1);	/* not mapped: another process may replace or cut it */
	length = 0;
	for (ssize_t got; data && length < status.st_size; length += got)
		if ((got = read(fd, data + length, status.st_size - length)) <= 0)
			break;
	close(fd);
	return data && read_all(data, length);
}

bool recall(char kind, struct text key, struct text *value)
{
	uint32_t slot = crc(crc(0, (struct text){ &kind, 1 }), key);
	const struct record *record;

	for (uint32_t wanted = slot; (record = table[slot & (buckets - 1)]); slot++)
		if (record->key_crc == wanted && record->key_size == key.size + 1 && record->key[0] == kind
		    && !memcmp(record->key + 1, key.start, key.size) && is_sound(record)) {
			*value = value_of(record);
			return true;
		}
	return false;
}

bool program_key(const char *program, char *key, size_t size, int *size_of_path)
{
	const char *path = getenv("PATH");
	struct stat status;
	int length = 0;

	if (strchr(program, '/'))
		length = snprintf(key, size, "%s", program);
	else
		for (; path && *path; path += strcspn(path, ":"), path += *path == ':') {
			length = snprintf(key, size, "%.*s/%s", (int)strcspn(path, ":"), path, program);
			if ((size_t)length < size && *path != ':' && !access(key, X_OK))
				break;
			length = 0;
		}
	*size_of_path = length;
	if (length <= 0 || (size_t)length + 96 > size || stat(key, &status) || !S_ISREG(status.st_mode)
	    || access(key, X_OK))
		return false;
	key[length] = ' ';
	describe(key + length + 1, size - length - 1, &status);
	return true;
}
