/* Address spaces. The first 16 MiB are the kernel's, in all of them: all memory that it uses, each byte at its own address. */
#ifndef PAGING_H
#define PAGING_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096u
#define KERNEL_END 0x1000000u

/* frames.c: pages of memory, filled with zeros. */
void frames_init(uint32_t first, uint32_t end);
void *frame_take(void);
void frame_give(void *frame);

/* paging.c */
void paging_init(void);
/* A space with nothing in it but the kernel. */
uint32_t *space_create(void);
void space_destroy(uint32_t *space);
void space_switch(uint32_t *space);
/* The frame at a program's address, which is added if there is none. */
uint8_t *space_page(uint32_t *space, uint32_t address);
/* Whether a program may read and write all these bytes. */
int space_covers(uint32_t *space, uint32_t address, size_t size);

#endif
