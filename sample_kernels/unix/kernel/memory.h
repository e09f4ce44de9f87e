/* Memory: who has which page, and what processes see of it.
 *
 *   0x00400000             program, then its heap
 *   below USER_TOP         stack, growing down
 *   KERNEL_BASE            the first DIRECT_MAP bytes of physical memory, the kernel among them */
#ifndef MEMORY_H
#define MEMORY_H

#define KERNEL_BASE 0xc0000000
#define USER_TOP KERNEL_BASE
#define DIRECT_MAP 0x04000000		/* memory beyond 64 MiB is not used */
#define STACK_MAX 0x00100000		/* bytes of a process's stack */
#define HEAP_LIMIT 0x40000000		/* where a heap ends at the latest */
#define PAGE_SIZE 4096

/* Page table entries (SDM volume 3, 4.3) */
#define PAGE_PRESENT 0x001
#define PAGE_WRITABLE 0x002
#define PAGE_USER 0x004
#define PAGE_LARGE 0x080
#define PAGE_COPY 0x200			/* ours: shared after a fork, to be copied when written to */

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

#define PAGE_ROUND_UP(address) (((address) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1u))
#define PHYSICAL(pointer) ((uint32_t)(pointer) - KERNEL_BASE)
#define VIRTUAL(physical) ((void *)((physical) + KERNEL_BASE))

/* memory.c of ../../common */
void *memset(void *destination, int value, size_t length);
void *memcpy(void *destination, const void *source, size_t length);

/* page.c: physical pages, by their addresses in the kernel's half. */
void pages_init(uint32_t end);		/* of physical memory, in bytes */
void *page_allocate(void);		/* a page of zeroes, or NULL */
void page_share(void *page);		/* one user more */
void page_free(void *page);		/* one user less; the last one frees it */
int page_is_shared(const void *page);

/* space.c: address spaces. */
struct space {
	uint32_t *directory;
	uint32_t heap_start, heap_end;
};

extern uint32_t kernel_directory[];
int space_create(struct space *space);			/* false: out of memory */
int space_copy(struct space *space, struct space *from);	/* the same memory, copied when written to */
void space_free(struct space *space);
void space_activate(const uint32_t *directory);
/* The page at `address`, made if there is none; NULL: out of memory. */
void *space_page(struct space *space, uint32_t address, int writable);
unsigned space_pages(const struct space *space);
/* Make an access to `address` possible which the processor refused; false: it is not the process's to make. */
int space_fault(struct space *space, uint32_t address, int write);
/* Give memory from the page at `start` back, up to `end`; the processor may remember it until space_activate(). */
void space_drop(struct space *space, uint32_t start, uint32_t end);

/* Check, and make accessible, memory of the running process that a system call is to use: 0 or -EFAULT. */
int user_check(uint32_t address, uint32_t length, int write);
/* Copy a string of the running process, its end included: its length, -EFAULT, or `too_long` if there is not room. */
int user_string(char *to, uint32_t address, uint32_t room, int too_long);
#endif

#endif
