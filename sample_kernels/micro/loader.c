/* Programs: ELF files (System V ABI, Intel386 supplement) that the boot loader has brought as modules. The first word
 * of a module's command line names the file. Words with `=` are for us:
 *
 *	ports=3f8-3ff	the program may use these ports (twice at most)
 *	irq=4		and gets this interrupt as a message
 *	priority=3	instead of 1
 *
 * The whole line is the program's argument. */
#include "paging.h"
#include "pc.h"
#include "task.h"
#include "trap.h"

#define ELF_MAGIC 0x464c457f
#define TYPE_EXECUTABLE 2
#define MACHINE_386 3
#define SEGMENT_LOAD 1

struct elf_header {
	uint32_t magic;
	uint8_t identity[12];
	uint16_t type, machine;
	uint32_t version, entry, segments_at, sections_at, flags;
	uint16_t size, segment_size, segments;
};

struct elf_segment {
	uint32_t type, offset, address, physical, file_size, memory_size, flags, alignment;
};

/* The bytes of one segment; what the file does not have is zero already. */
static int load_segment(uint32_t *space, const uint8_t *file, size_t size, const struct elf_segment *segment)
{
	uint32_t end = segment->address + segment->memory_size;

	if (segment->file_size > segment->memory_size || segment->offset > size
	    || segment->file_size > size - segment->offset)
		return 0;
	if (segment->address < USER_BASE || end < segment->address || end > USER_END - USER_STACK_PAGES * PAGE_SIZE)
		return 0;
	for (uint32_t page = segment->address & ~(PAGE_SIZE - 1u); page < end; page += PAGE_SIZE)
		space_page(space, page);
	for (uint32_t at = 0; at < segment->file_size; at++) {
		uint32_t address = segment->address + at;

		space_page(space, address)[address % PAGE_SIZE] = file[segment->offset + at];
	}
	return 1;
}

static int load_segments(uint32_t *space, const uint8_t *file, size_t size)
{
	const struct elf_header *header = (const struct elf_header *)file;

	if (size < sizeof(*header) || header->magic != ELF_MAGIC || header->type != TYPE_EXECUTABLE
	    || header->machine != MACHINE_386 || header->segment_size != sizeof(struct elf_segment)
	    || header->segments_at > size || header->segments > (size - header->segments_at) / header->segment_size)
		return 0;
	for (unsigned n = 0; n < header->segments; n++) {
		const struct elf_segment *segment = (const struct elf_segment *)(file + header->segments_at) + n;

		if (segment->type == SEGMENT_LOAD && !load_segment(space, file, size, segment))
			return 0;
	}
	return 1;
}

static size_t length_of(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

/* The stack with its last page as a C function's caller leaves it: the line, its address, a return address. */
static uint32_t stack_create(uint32_t *space, const char *line)
{
	uint8_t *top = 0;
	uint32_t room = (length_of(line) + 4) & ~3u, *words;

	if (room > PAGE_SIZE / 2)
		panic("the line of a module is too long: %s", line);
	for (unsigned page = USER_STACK_PAGES; page; page--)
		top = space_page(space, USER_END - page * PAGE_SIZE) + PAGE_SIZE;
	for (uint32_t at = 0; line[at]; at++)
		top[at - room] = (uint8_t)line[at];
	words = (uint32_t *)(top - room);
	words[-1] = USER_END - room;
	return USER_END - room - 8;
}

static uint32_t number(const char **at, uint32_t base)
{
	uint32_t value = 0;

	for (;; ++*at) {
		uint32_t digit = (uint32_t)(**at >= 'a' ? **at - 'a' + 10 : **at - '0');

		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

static int begins(const char *text, const char *beginning)
{
	while (*beginning)
		if (*text++ != *beginning++)
			return 0;
	return 1;
}

static void grant_ports(struct task *task, const char *range)
{
	unsigned n = 0;

	while (n < PORT_RANGES && task->ports[n].last)
		n++;
	if (n == PORT_RANGES)
		panic("%s asks for too many ports", task->name);
	task->ports[n].first = task->ports[n].last = (uint16_t)number(&range, 16);
	if (*range++ == '-')
		task->ports[n].last = (uint16_t)number(&range, 16);
}

/* What one word of the line gives. */
static void grant(struct task *task, const char *word)
{
	const char *value = word;

	while (*value && *value != ' ' && *value != '=')
		value++;
	if (*value++ != '=')
		return;
	if (begins(word, "ports="))
		grant_ports(task, value);
	else if (begins(word, "irq="))
		irq_grant(number(&value, 10) % 16, task);
	else if (begins(word, "priority="))
		task->priority = number(&value, 10) % PRIORITIES;
	else
		panic("%s has no right called %s", task->name, word);
}

void load_program(const uint8_t *file, size_t size, const char *line)
{
	const struct elf_header *header = (const struct elf_header *)file;
	uint32_t *space = space_create();
	const char *name = line, *end, *word = line;
	struct task *task;

	/* The name is that of the file without folders and ending. */
	for (; *word && *word != ' '; word++)
		if (*word == '/')
			name = word + 1;
	for (end = name; *end && *end != ' ' && *end != '.'; end++)
		;
	if (!load_segments(space, file, size))
		panic("not a program for us: %s", line);
	task = task_create(name, (size_t)(end - name), space, header->entry, stack_create(space, line));
	while (*word) {
		while (*word == ' ')
			word++;
		grant(task, word);
		while (*word && *word != ' ')
			word++;
	}
	task_ready(task);
}
