/* A microkernel: address spaces, tasks and messages. Everything else that an operating system is made of runs as a
 * program, which the boot loader brings as a module; the first one is the name server. */
#include "paging.h"
#include "pc.h"
#include "task.h"
#include "trap.h"

#define MULTIBOOT_LOADER 0x2badb002
#define MULTIBOOT_MODULES 0x8		/* flag: the two words for modules are valid */

#define MULTIBOOT_MEMORY 0x1		/* the two for memory are */
#define MEGABYTE 0x100000

/* The multiboot specification, section 3.3: the beginning of the information, and a module. Addresses are physical. */
struct information {
	uint32_t flags, memory_lower, memory_upper, boot_device, command_line, module_count, modules;
};

struct module {
	uint32_t start, end, line, reserved;
};

extern uint8_t kernel_end[];		/* micro.ld */

/* Memory that is free: it begins behind the kernel and what the loader has put near it, and ends before what the loader
 * has put near the end. */
static uint32_t first, end;

static void keep(uint32_t from, uint32_t to)
{
	if (to > KERNEL_MEMORY)
		panic("the loader has put something at %x, where we do not reach it", from);
	if (from < end / 2 && to > first)
		first = to;
	else if (from >= end / 2 && from < end)
		end = from;
}

static void find_memory(const struct information *information)
{
	const struct module *modules = memory_at(information->modules);

	first = physical_of(kernel_end);
	end = MEGABYTE + information->memory_upper * 1024;
	if (information->memory_upper > (KERNEL_MEMORY - MEGABYTE) / 1024)
		end = KERNEL_MEMORY;
	keep(physical_of(information), physical_of(information + 1));
	keep(information->modules, information->modules + information->module_count * sizeof(*modules));
	for (uint32_t n = 0; n < information->module_count; n++) {
		const char *line = memory_at(modules[n].line);
		uint32_t length = 1;

		while (line[length - 1])
			length++;
		keep(modules[n].line, modules[n].line + length);
		keep(modules[n].start, modules[n].end);
	}
	frames_init(first, end);
}

void kernel_main(uint32_t magic, uint32_t information_at);

void kernel_main(uint32_t magic, uint32_t information_at)
{
	const struct information *information = memory_at(information_at);
	const struct module *module;

	if (magic != MULTIBOOT_LOADER)
		panic("not started by a multiboot loader: EAX is %x", magic);
	if (!(information->flags & MULTIBOOT_MEMORY))
		panic("the loader does not tell how much memory there is");
	if (!(information->flags & MULTIBOOT_MODULES) || !information->module_count)
		panic("no modules: the programs are missing");
	find_memory(information);
	protection_init();
	traps_init();
	module = memory_at(information->modules);
	for (uint32_t n = 0; n < information->module_count; n++, module++)
		load_program(memory_at(module->start), module->end - module->start, memory_at(module->line));
	print("micro: %u programs\n", information->module_count);
	tasks_run();
}
