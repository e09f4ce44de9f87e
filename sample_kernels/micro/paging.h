/* Address spaces. From KERNEL_BASE on, all of them have the machine's memory, from its beginning on, for the kernel
 * alone; below are the pages of a program. */
#ifndef PAGING_H
#define PAGING_H

#define KERNEL_BASE 0xc0000000
#define KERNEL_MEMORY 0x30000000	/* as much of it as fits below the addresses of devices */
#define PAGE_SIZE 4096

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

/* Where the kernel finds the byte at a physical address, and the other way round. */
static inline void *memory_at(uint32_t physical)
{
	return (void *)(physical + KERNEL_BASE);
}

static inline uint32_t physical_of(const void *address)
{
	return (uint32_t)address - KERNEL_BASE;
}

/* frames.c: pages of memory, filled with zeros. */
void frames_init(uint32_t first, uint32_t end);
void *frame_take(void);
void frame_give(void *frame);

/* A space with nothing in it but the kernel. */
uint32_t *space_create(void);
void space_destroy(uint32_t *space);
/* 0: the kernel's own space. */
void space_switch(uint32_t *space);
/* The frame at a program's address, which is added if there is none. */
uint8_t *space_page(uint32_t *space, uint32_t address);
/* Whether a program may read and write all these bytes. */
int space_covers(uint32_t *space, uint32_t address, size_t size);
#endif

#endif
