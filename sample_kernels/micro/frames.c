#include "paging.h"
#include "pc.h"

static uint32_t next, end;		/* physical addresses of what has never been taken */
static void **given;			/* a list of frames that were given back, through their first words */

void frames_init(uint32_t first, uint32_t last)
{
	next = (first + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1u);
	end = last & ~(PAGE_SIZE - 1u);
}

void *frame_take(void)
{
	uint32_t *frame = (uint32_t *)given;

	if (frame) {
		given = *given;
	} else {
		if (next >= end)
			panic("no memory is left");
		frame = memory_at(next);
		next += PAGE_SIZE;
	}
	for (unsigned word = 0; word < PAGE_SIZE / 4; word++)
		frame[word] = 0;
	return frame;
}

void frame_give(void *frame)
{
	*(void **)frame = given;
	given = frame;
}
