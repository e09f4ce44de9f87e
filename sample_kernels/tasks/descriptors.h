/* The tables that the processor reads: segments, gates, tasks (SDM volume 3, chapters 3, 5 and 7). */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include <stdint.h>

#define ACCESS_RING(ring) ((ring) << 5)
#define ACCESS_CODE 0x9a		/* present, readable */
#define ACCESS_CONFORMING_CODE 0x9e
#define ACCESS_DATA 0x92		/* present, writable */
#define ACCESS_EXPAND_DOWN 0x96		/* the same, above the limit instead of below */
#define ACCESS_ABSENT_DATA 0x12
#define ACCESS_LDT 0x82
#define ACCESS_TASK_GATE 0x85
#define ACCESS_TSS 0x89			/* of a task that neither runs nor has called another */
#define ACCESS_TSS_BUSY 0x02
#define ACCESS_CALL_GATE 0x8c

/* Segment of `size` bytes from `base` on; LDT and TSS are such segments, too. */
uint64_t segment_descriptor(const volatile void *base, uint32_t size, unsigned access);
/* Gate to `offset` in `selector`, which copies `parameters` 32-bit words from the caller's stack to the inner ring's. */
uint64_t gate_descriptor(uint16_t selector, uint32_t offset, unsigned parameters, unsigned access);

/* Move from the three flat segments of start-up to a global table with room for ours. */
void gdt_init(void);
void gdt_set(uint16_t selector, uint64_t descriptor);
/* Where a segment of the global table begins. */
void *gdt_base(uint16_t selector);
/* Whether the task of this TSS counts as running: a jump or call goes only to one that does not, a return only to one
 * that does. */
void gdt_set_busy(uint16_t selector, int busy);

#endif
