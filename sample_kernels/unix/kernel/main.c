/* The beginning: bring the machine up, make the first process, let it run. */
#include "console.h"
#include "inode.h"
#include "keyboard.h"
#include "process.h"
#include "trap.h"

#define MULTIBOOT_LOADER 0x2badb002	/* what a multiboot loader leaves in EAX */
#define MULTIBOOT_HAS_MEMORY 0x1
#define MEBIBYTE 0x100000u

struct multiboot {
	uint32_t flags;
	uint32_t low, high;		/* KiB of memory, below 640 KiB and above 1 MiB */
};

/* Runs in the kernel, as the first process: reading a disk means waiting, and only processes can wait. What it returns to
 * is the program. */
static void first_process(void)
{
	int error;

	file_system_mount();
	current->directory = inode_get(ROOT_INODE);
	error = exec("/bin/init", NULL);
	if (error)
		panic("/bin/init: error %d", -error);
}

_Noreturn void kernel_main(uint32_t magic, uint32_t information);

void kernel_main(uint32_t magic, uint32_t information)
{
	const struct multiboot *multiboot = VIRTUAL(information);
	struct space space;
	uint32_t end;

	console_init();
	if (magic != MULTIBOOT_LOADER || !(multiboot->flags & MULTIBOOT_HAS_MEMORY))
		panic("not started by a multiboot loader: EAX is %x", magic);
	end = multiboot->high < (DIRECT_MAP - MEBIBYTE) / 1024 ? MEBIBYTE + multiboot->high * 1024 : DIRECT_MAP;
	print("unix: %u MiB of memory\n", end / MEBIBYTE);
	pages_init(end);
	traps_init();
	keyboard_init();
	if (!space_create(&space))
		panic("not enough memory");
	process_start(process_create(&space, first_process));
	processes_run();
}
