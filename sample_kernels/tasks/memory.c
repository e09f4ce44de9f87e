#include "memory.h"
#include "pc.h"

#define DRIVER_STACK (DRIVER_IMAGE / TASKS)

/* tasks.ld: where the loader has put the two images, and how long they are. */
extern const uint8_t program_image[], program_image_end[];
extern const uint8_t driver_image[], driver_image_end[];
void program_exit(void);

static uint8_t programs[TASKS][PROGRAM_SIZE] __attribute__((aligned(16)));
static uint8_t driver[DRIVER_SIZE] __attribute__((aligned(16)));

static void copy(uint8_t *to, const uint8_t *from, const uint8_t *end)
{
	while (from < end)
		*to++ = *from++;
}

uint8_t *program_load(unsigned slot)
{
	copy(programs[slot] + PROGRAM_IMAGE, program_image, program_image_end);
	return programs[slot];
}

uint32_t program_stack(uint8_t *memory, uint32_t argument)
{
	uint32_t *top = (uint32_t *)(memory + PROGRAM_IMAGE);

	top[-1] = argument;
	top[-2] = (uint32_t)program_exit;	/* where the program's function returns to */
	return PROGRAM_IMAGE - 2 * sizeof(*top);
}

uint8_t *driver_load(void)
{
	copy(driver + DRIVER_IMAGE, driver_image, driver_image_end);
	return driver;
}

uint32_t driver_stack(unsigned slot)
{
	return (slot + 1) * DRIVER_STACK;
}
