/* Every selector that code names, for C and assembly. A selector is a place in a table times 8, the table (4: the task's
 * own, the LDT), and the ring that asks. */
#ifndef SELECTORS_H
#define SELECTORS_H

/* The global table. 0x08 and 0x10 are the kernel's flat segments (pc.h). */
#define DRIVER_CODE 0x19	/* ring 1, its own memory only */
#define DRIVER_DATA 0x21
#define LIBRARY_CODE 0x28	/* conforming: runs in the ring that calls it */
#define GATE_WRITE 0x33		/* call gate into the driver, ring 1 */
#define GATE_YIELD 0x3b		/* call gates into the kernel, ring 0 */
#define GATE_EXIT 0x43
#define GATE_KERNEL_ONLY 0x48	/* one that only ring 0 may use */
#define GATE_CLERK 0x50		/* task gate, for ring 0 */
#define TASK_CLERK 0x58		/* task state segments: of the clerk, */
#define FIRST_FAULT_TASK 0x60	/* of each exception that we handle, */
#define FIRST_TASK 0xa0		/* and of each task, its local table after it */

/* The local table of each program. */
#define PROGRAM_CODE 0x07
#define PROGRAM_DATA 0x0f
#define PROGRAM_BOARD 0x17	/* memory that all programs share */
#define PROGRAM_ABSENT 0x1f	/* a segment that is not present */
#define PROGRAM_CLERK 0x27	/* task gate, for ring 3 */
#define PROGRAM_ENTRIES 5

/* The local table of a task in ring 0. */
#define LOCAL_STACK 0x04

/* Offsets in the library's segment. */
#define LIBRARY_DECIMAL 0
#define LIBRARY_RING 8

#endif
