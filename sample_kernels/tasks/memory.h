/* Programs and the driver are parts of this kernel's file, but each is written for a segment of its own, in which
 * addresses begin at 0. tasks.ld gives each part addresses that no other part has, so that symbols stay unambiguous:
 *
 *	program's segment	0x00000		stack, growing down: below 0 is beyond the limit
 *				0x10000		code and data
 *	driver's segment	0x00000		a stack for each task
 *				0x08000		code and data
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

#define TASKS 4
#define PROGRAM_IMAGE 0x10000
#define PROGRAM_SIZE 0x14000
#define DRIVER_IMAGE 0x8000
#define DRIVER_SIZE 0xa000

/* Put a fresh copy of the programs into the memory of a task; returns it. */
uint8_t *program_load(unsigned slot);
/* The stack of a program that gets `argument` and, when it returns, ends its task. Returns its stack pointer. */
uint32_t program_stack(uint8_t *memory, uint32_t argument);

uint8_t *driver_load(void);
uint32_t driver_stack(unsigned slot);

#endif
