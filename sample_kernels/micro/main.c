/* A microkernel: address spaces, tasks and messages. Everything else that an operating system is made of runs as a program,
 * which the boot loader brings as a module; the first one is the name server. */
#include "paging.h"
#include "pc.h"
#include "task.h"
#include "trap.h"

#define MULTIBOOT_LOADER 0x2badb002
#define MULTIBOOT_MODULES 0x8		/* flag: the two words for modules are valid */

/* The multiboot specification, section 3.3: the beginning of the information, and a module. */
struct information {
	uint32_t flags, memory_lower, memory_upper, boot_device, command_line, module_count;
	const struct module *modules;
};

struct module {
	const uint8_t *start, *end;
	const char *line;
	uint32_t reserved;
};

extern uint8_t kernel_end[];		/* kernel.ld */

/* The end of what must not be overwritten: the higher one of `end` and that of something else that we were given. */
static uint32_t behind(uint32_t end, const void *something)
{
	uint32_t other = (uint32_t)something;

	return other > end && other < KERNEL_END ? other : end;
}

static uint32_t free_memory(const struct information *information)
{
	uint32_t end = behind((uint32_t)kernel_end, information + 1);

	end = behind(end, information->modules + information->module_count);
	for (uint32_t n = 0; n < information->module_count; n++) {
		const char *line = information->modules[n].line;

		while (*line)
			line++;
		end = behind(behind(end, line + 1), information->modules[n].end);
	}
	return end;
}

void kernel_main(uint32_t magic, const struct information *information);

void kernel_main(uint32_t magic, const struct information *information)
{
	if (magic != MULTIBOOT_LOADER)
		panic("not started by a multiboot loader: EAX is %x", magic);
	if (!(information->flags & MULTIBOOT_MODULES) || !information->module_count)
		panic("no modules: the programs are missing");
	frames_init(free_memory(information), KERNEL_END);

	/* Before paging, since modules may lie where the kernel has no addresses. */
	for (uint32_t n = 0; n < information->module_count; n++) {
		const struct module *module = &information->modules[n];

		load_program(module->start, (size_t)(module->end - module->start), module->line);
	}
	paging_init();
	protection_init();
	traps_init();
	print("micro: %u programs\n", information->module_count);
	tasks_run();
}
