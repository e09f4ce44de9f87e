#include "task.h"
#include "descriptors.h"
#include "memory.h"
#include "pc.h"
#include "selectors.h"
#include "x86.h"

#define KERNEL_STACK 4096
#define NO_IO_MAP sizeof(struct tss)	/* beyond the segment: no port is permitted */
#define PORTS 0x400
#define EFLAGS_RESERVED 0x2		/* always set */
#define EFLAGS_IOPL_1 0x1000		/* rings 0 and 1 may use ports and the interrupt flag */

struct task {
	struct tss tss;
	uint8_t io_map[PORTS / 8 + 1];	/* a clear bit permits a port; the last byte must be all ones */
	uint64_t ldt[PROGRAM_ENTRIES];
	uint8_t kernel_stack[KERNEL_STACK] __attribute__((aligned(16)));
	const char *name;
	uint16_t selector;		/* of the TSS; the LDT's is the next */
	uint16_t resume;		/* the TSS to go on with: this one, or that of a task called from it */
	int alive;
};

static struct task slots[TASKS];
static struct task *current;		/* whose turn it is */
static uint32_t board[16];

uint16_t task_register(void)
{
	uint16_t selector;

	__asm__ volatile("str %0" : "=r"(selector));
	return selector;
}

struct tss *tss_of(uint16_t selector)
{
	return gdt_base(selector);
}

const char *task_name(void)
{
	return current->name;
}

void service_task_create(uint16_t selector, struct tss *tss, void (*entry)(void), uint8_t *stack_top, uint32_t ebx)
{
	*tss = (struct tss){
		.eip = (uint32_t)entry, .esp = (uint32_t)stack_top, .ebx = ebx, .eflags = EFLAGS_RESERVED,
		.cs = KERNEL_CODE, .ss = KERNEL_DATA, .ds = KERNEL_DATA, .es = KERNEL_DATA,
		.fs = KERNEL_DATA, .gs = KERNEL_DATA, .io_map = NO_IO_MAP,
	};
	gdt_set(selector, segment_descriptor(tss, sizeof(*tss), ACCESS_TSS));
}

static struct task *slot_take(const char *name)
{
	for (unsigned slot = 0; slot < TASKS; slot++) {
		struct task *task = &slots[slot];

		if (task->alive)
			continue;
		*task = (struct task){ .name = name, .selector = FIRST_TASK + slot * 16, .alive = 1 };
		task->resume = task->selector;
		task->tss = (struct tss){
			.eflags = EFLAGS_RESERVED | EFLAGS_IOPL_1 | EFLAGS_IF,
			.ss0 = KERNEL_DATA, .esp0 = (uint32_t)(task->kernel_stack + KERNEL_STACK),
			.ss1 = DRIVER_DATA, .esp1 = driver_stack(slot),
			.ldt = task->selector + 8u, .io_map = NO_IO_MAP,
		};
		gdt_set(task->selector, segment_descriptor(&task->tss, sizeof(task->tss), ACCESS_TSS));
		gdt_set(task->selector + 8, segment_descriptor(task->ldt, sizeof(task->ldt), ACCESS_LDT));
		return task;
	}
	panic("no room for task %s", name);
}

void tasks_init(const char *name)
{
	current = slot_take(name);
	__asm__ volatile("ltr %0" : : "r"(current->selector));
	__asm__ volatile("lldt %w0" : : "r"(current->tss.ldt));
}

static void permit_port(struct task *task, uint16_t port)
{
	uint32_t offset = (uint32_t)(task->io_map - (uint8_t *)&task->tss);

	for (unsigned byte = 0; byte < sizeof(task->io_map); byte++)
		task->io_map[byte] = 0xff;
	task->io_map[port / 8] &= ~(1 << port % 8);
	task->tss.io_map = (uint16_t)offset;
	gdt_set(task->selector, segment_descriptor(&task->tss, offset + sizeof(task->io_map), ACCESS_TSS));
}

void task_create(const char *name, void (*entry)(uint32_t argument), uint32_t argument, uint16_t port)
{
	struct task *task = slot_take(name);
	uint8_t *memory = program_load((unsigned)(task - slots));

	task->ldt[PROGRAM_CODE / 8] = segment_descriptor(memory, PROGRAM_SIZE, ACCESS_CODE | ACCESS_RING(3));
	task->ldt[PROGRAM_DATA / 8] = segment_descriptor(memory, PROGRAM_SIZE, ACCESS_DATA | ACCESS_RING(3));
	task->ldt[PROGRAM_BOARD / 8] = segment_descriptor(board, sizeof(board), ACCESS_DATA | ACCESS_RING(3));
	task->ldt[PROGRAM_ABSENT / 8] = segment_descriptor(board, sizeof(board), ACCESS_ABSENT_DATA | ACCESS_RING(3));
	task->ldt[PROGRAM_CLERK / 8] = gate_descriptor(TASK_CLERK, 0, 0, ACCESS_TASK_GATE | ACCESS_RING(3));
	task->tss.eip = (uint32_t)entry;
	task->tss.esp = program_stack(memory, argument);
	task->tss.cs = PROGRAM_CODE;
	task->tss.ss = task->tss.ds = task->tss.es = PROGRAM_DATA;
	task->tss.fs = PROGRAM_BOARD;
	if (port)
		permit_port(task, port);
}

void task_create_kernel(const char *name, void (*entry)(void), uint32_t stack_size)
{
	static uint8_t stack[4096] __attribute__((aligned(16)));
	struct task *task = slot_take(name);

	task->ldt[LOCAL_STACK / 8] = segment_descriptor(stack, sizeof(stack) - stack_size, ACCESS_EXPAND_DOWN);
	task->tss.eip = (uint32_t)entry;
	task->tss.esp = sizeof(stack);
	task->tss.cs = KERNEL_CODE;
	task->tss.ss = LOCAL_STACK;
	task->tss.ds = task->tss.es = task->tss.fs = task->tss.gs = KERNEL_DATA;
}

static struct task *next_task(void)
{
	struct task *task = current;

	do
		task = task + 1 == slots + TASKS ? slots : task + 1;
	while (!task->alive && task != current);
	return task;
}

void schedule(void)
{
	uint32_t flags = interrupts_save();
	struct task *next = next_task();

	if (next != current) {
		struct {
			uint32_t offset;	/* not used: the task goes on where it was left */
			uint16_t selector;
		} __attribute__((packed)) target = { 0, next->resume };

		current->resume = task_register();
		current = next;
		__asm__ volatile("ljmp *%0" : : "m"(target) : "memory");
	}
	interrupts_restore(flags);
}

_Noreturn void task_exit(void)
{
	cli();
	current->alive = 0;
	schedule();
	panic("%s goes on after its end", current->name);
}

void tasks_await(void)
{
	for (struct task *task = slots; task < slots + TASKS; task++)
		while (task != current && task->alive)
			schedule();
}

/* As schedule(), but the processor is to go from task to task by a return, and returns only to what is busy. */
void task_replace(uint16_t selector)
{
	struct tss *tss = tss_of(selector);

	current->alive = 0;
	gdt_set_busy((uint16_t)tss->back_link, 0);
	current = next_task();
	if (!current->alive)
		panic("no task is left");
	gdt_set_busy(current->resume, 1);
	tss->back_link = current->resume;
}
