/* Tasks, as the processor knows them: each has a task state segment, into which the processor puts its registers when
 * it leaves the task. They are saved nowhere else, and no code of ours saves them. */
#ifndef TASK_H
#define TASK_H

#include <stdint.h>

/* SDM volume 3, figure 7-2. Selectors fill 32 bits; the upper halves are zero. */
struct tss {
	uint32_t back_link;		/* the task to return to, when this one was called */
	uint32_t esp0, ss0, esp1, ss1, esp2, ss2;	/* the stacks of the inner rings */
	uint32_t cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs;
	uint32_t ldt;
	uint16_t trap, io_map;		/* where the map of permitted ports begins */
};

/* The selector of the TSS in use. */
uint16_t task_register(void);
struct tss *tss_of(uint16_t selector);
/* Give `selector` to a task in ring 0 that runs only when it is called: from `entry` on, interrupts off, EBX as given. */
void service_task_create(uint16_t selector, struct tss *tss, void (*entry)(void), uint8_t *stack_top, uint32_t ebx);

/* Make the running code the first task. */
void tasks_init(const char *name);
/* A program in ring 3, with memory, segments and stacks of its own. `entry` is an offset in its code segment, called
 * with `argument`. It may use `port` and no other; 0: none at all. */
void task_create(const char *name, void (*entry)(uint32_t argument), uint32_t argument, uint16_t port);
/* A task in ring 0 whose stack segment is `stack_size` bytes long, and kept by the processor from growing beyond. */
void task_create_kernel(const char *name, void (*entry)(void), uint32_t stack_size);
/* Let everybody have their turn until only the caller is left. */
void tasks_await(void);

/* The next task's turn; returns at ours. Interrupts may be on or off. */
void schedule(void);
/* The end of the current task. */
_Noreturn void task_exit(void);
const char *task_name(void);
/* The end of the current task, for the task `selector` that was called in its place: it will return to the next one. */
void task_replace(uint16_t selector);

#endif
