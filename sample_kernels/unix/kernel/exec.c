/* Programs: i386 ELF files, statically linked for ring 3's part of the address space. */
#include "process.h"

#include "errors.h"
#include "inode.h"
#include "segments.h"
#include "syscall.h"

#define ELF_MAGIC 0x464c457f
#define ELF_I386 0x00030002		/* type: executable; machine: 386 */
#define SEGMENT_LOAD 1
#define SEGMENT_WRITABLE 2
#define SEGMENTS_MAX 8
#define EFLAGS_START 0x202		/* interrupts on; bit 1 is always set */

struct elf_header {
	uint32_t magic, class[3], type_and_machine, version, entry, segments, sections, flags;
	uint16_t size, segment_size, segment_count, section_size, section_count, section_names;
};

struct elf_segment {
	uint32_t type, offset, address, physical, file_size, memory_size, flags, alignment;
};

/* Read what the file has of `segment`, page by page; the rest of its memory is zeroes. */
static int load_segment(struct space *space, struct inode *inode, const struct elf_segment *segment)
{
	uint32_t end = segment->address + segment->memory_size, length;

	if (end < segment->address || end > HEAP_LIMIT || segment->file_size > segment->memory_size)
		return -ENOEXEC;
	for (uint32_t at = segment->address, done = 0; at < end; at += length, done += length) {
		char *page = space_page(space, at, (segment->flags & SEGMENT_WRITABLE) != 0);
		uint32_t wanted;

		if (!page)
			return -ENOMEM;
		length = PAGE_SIZE - at % PAGE_SIZE < end - at ? PAGE_SIZE - at % PAGE_SIZE : end - at;
		wanted = done >= segment->file_size ? 0 : segment->file_size - done;
		wanted = wanted < length ? wanted : length;
		if (wanted && inode_read(inode, page + at % PAGE_SIZE, segment->offset + done, wanted) != (int)wanted)
			return -ENOEXEC;
	}
	if (PAGE_ROUND_UP(end) > space->heap_start)
		space->heap_start = space->heap_end = PAGE_ROUND_UP(end);
	return 0;
}

/* Returns where the program begins, or an error. */
static int load(struct space *space, struct inode *inode)
{
	struct elf_header header;
	struct elf_segment segment;

	if (inode->disk.type != TYPE_FILE || inode_read(inode, &header, 0, sizeof(header)) != sizeof(header) ||
	    header.magic != ELF_MAGIC || header.type_and_machine != ELF_I386 || header.segment_count > SEGMENTS_MAX)
		return -ENOEXEC;
	for (unsigned index = 0; index < header.segment_count; index++) {
		int error;

		if (inode_read(inode, &segment, header.segments + index * sizeof(segment), sizeof(segment)) !=
		    sizeof(segment))
			return -ENOEXEC;
		error = segment.type == SEGMENT_LOAD ? load_segment(space, inode, &segment) : 0;
		if (error)
			return error;
	}
	return header.entry < HEAP_LIMIT ? (int)header.entry : -ENOEXEC;
}

/* The arguments as main() gets them: at the top of the stack the strings, below them the pointers to them, ended by a null
 * one, then the address of the pointers and their number. Returns the program's first ESP, or 0: out of
 * memory. */
static uint32_t push_arguments(struct space *space, const char *strings, uint32_t bytes, uint32_t count)
{
	uint32_t strings_at = USER_TOP - PAGE_ROUND_UP(ARGUMENT_BYTES) / 2;
	uint32_t pointers_at = strings_at - (count + 1) * 4;
	char *page = space_page(space, USER_TOP - PAGE_SIZE, 1);
	uint32_t *at, start = strings_at;

	if (!page)
		return 0;
	memcpy(page + strings_at % PAGE_SIZE, strings, bytes);
	at = (uint32_t *)(page + pointers_at % PAGE_SIZE);
	for (uint32_t argument = 0; argument < count; argument++) {
		at[argument] = start;
		while (strings[start++ - strings_at])
			;
	}
	at[-1] = pointers_at;
	at[-2] = count;
	return pointers_at - 8;
}

/* Copy the arguments, a null-terminated vector in the running process (or, for the first program, in the kernel), one
 * after the other. Returns their length in bytes, or an error. */
static int gather_arguments(char *strings, const uint32_t *arguments, uint32_t *count)
{
	int bytes = 0;

	for (*count = 0;; ++*count) {
		int length;

		if (user_check((uint32_t)&arguments[*count], 4, 0))
			return -EFAULT;
		if (!arguments[*count])
			return bytes;
		length = *count == ARGUMENTS_MAX ? -E2BIG :
			user_string(strings + bytes, arguments[*count], ARGUMENT_BYTES - (uint32_t)bytes, -E2BIG);
		if (length < 0)
			return length;
		bytes += length;
	}
}

static void name_process(const char *path)
{
	const char *name = path;
	unsigned length = 0;

	for (; *path; path++)
		if (*path == '/' && path[1])
			name = path + 1;
	while (name[length] && length < sizeof(current->name) - 1) {
		current->name[length] = name[length];
		length++;
	}
	current->name[length] = 0;
}

/* Nothing of the old program is given up before the new one is complete. */
static int replace(const char *path, const char *strings, uint32_t bytes, uint32_t count)
{
	struct interrupt_frame *frame = process_frame(current);
	struct inode *inode;
	struct space space;
	uint32_t stack = 0;
	int entry;

	file_system_lock();
	entry = path_find(path, &inode);
	if (!entry && !space_create(&space)) {
		inode_put(inode);
		entry = -ENOMEM;
	} else if (!entry) {
		entry = load(&space, inode);
		inode_put(inode);
		if (entry >= 0 && !(stack = push_arguments(&space, strings, bytes, count)))
			entry = -ENOMEM;
		if (entry < 0)
			space_free(&space);
	}
	file_system_unlock();
	if (entry < 0)
		return entry;
	space_activate(space.directory);
	space_free(&current->space);
	current->space = space;
	*frame = (struct interrupt_frame){
		.eip = (uint32_t)entry, .cs = USER_CODE, .eflags = EFLAGS_START,
		.user_esp = stack, .user_ss = USER_DATA,
	};
	signals_reset(current);
	name_process(path);
	return 0;
}

int exec(const char *path, const uint32_t *arguments)
{
	char *strings = page_allocate();
	uint32_t count = 0;
	int bytes, error;

	if (!strings)
		return -ENOMEM;
	bytes = arguments ? gather_arguments(strings, arguments, &count) : 0;
	error = bytes < 0 ? bytes : replace(path, strings, (uint32_t)bytes, count);
	page_free(strings);
	return error;
}

/* exec(path, arguments) */
int32_t sys_exec(const struct call *call)
{
	char path[PATH_MAX];
	int error = path_of(path, call->first);

	return error ? error : exec(path, (const uint32_t *)call->second);
}
