/* Scenes that show what a 386 does about tasks and protection when it is let. Until the timer runs, in the last but one
 * of them, tasks change only where they ask for it, so the order of lines is fixed. */
#include "descriptors.h"
#include "faults.h"
#include "memory.h"
#include "pc.h"
#include "programs.h"
#include "selectors.h"
#include "task.h"
#include "x86.h"

#define HERTZ 100
#define MULTIBOOT_COMMAND_LINE 0x4	/* flag of the loader's information: its fifth word is the command line */

/* entries.S, driver_entry.S, library.S */
void timer_entry(void);
void yield_entry(void);
void exit_entry(void);
void clerk_task(void);
void overflow_stack(void);
void driver_entry(void);
extern const uint8_t library_start[], library_end[];

/* Called from entries.S. */
void timer_tick(void);
void clerk_serve(void);

static void gates_init(void)
{
	uint8_t *driver = driver_load();

	gdt_set(DRIVER_CODE, segment_descriptor(driver, DRIVER_SIZE, ACCESS_CODE | ACCESS_RING(1)));
	gdt_set(DRIVER_DATA, segment_descriptor(driver, DRIVER_SIZE, ACCESS_DATA | ACCESS_RING(1)));
	gdt_set(LIBRARY_CODE, segment_descriptor(library_start, (uint32_t)(library_end - library_start),
						 ACCESS_CONFORMING_CODE));
	gdt_set(GATE_WRITE, gate_descriptor(DRIVER_CODE, (uint32_t)driver_entry, 2, ACCESS_CALL_GATE | ACCESS_RING(3)));
	gdt_set(GATE_YIELD, gate_descriptor(KERNEL_CODE, (uint32_t)yield_entry, 0, ACCESS_CALL_GATE | ACCESS_RING(3)));
	gdt_set(GATE_EXIT, gate_descriptor(KERNEL_CODE, (uint32_t)exit_entry, 0, ACCESS_CALL_GATE | ACCESS_RING(3)));
	gdt_set(GATE_KERNEL_ONLY, gate_descriptor(KERNEL_CODE, (uint32_t)exit_entry, 0, ACCESS_CALL_GATE));
	gdt_set(GATE_CLERK, gate_descriptor(TASK_CLERK, 0, 0, ACCESS_TASK_GATE));
}

static void clerk_init(void)
{
	static struct tss tss;
	static uint8_t stack[2048] __attribute__((aligned(16)));

	service_task_create(TASK_CLERK, &tss, clerk_task, stack + sizeof(stack), 0);
}

void clerk_serve(void)
{
	static unsigned served;
	const struct tss *self = tss_of(task_register()), *caller = tss_of((uint16_t)self->back_link);

	print("  clerk: task %x serves task %x, in ring %u, for the %u. time\n", task_register(), self->back_link,
	      caller->cs & 3, ++served);
}

void timer_tick(void)
{
	irq_acknowledge(IRQ_TIMER);
	schedule();
}

static void call_tasks(void)
{
	print("tasks: calls to a task, through its segment, a gate, and a gate in a program's own table\n");
	__asm__ volatile("lcall %0, $0" : : "i"(TASK_CLERK) : "memory");
	__asm__ volatile("lcall %0, $0" : : "i"(GATE_CLERK) : "memory");
	task_create("served", be_served, 0, 0);
	tasks_await();
}

static void run_programs(void)
{
	print("tasks: programs in segments of their own\n");
	task_create("one", introduce, 1, 0);
	task_create("two", introduce, 2, 0);
	tasks_await();

	print("tasks: taking turns\n");
	task_create("one", take_turns, 1, 0);
	task_create("two", take_turns, 2, 0);
	task_create("three", take_turns, 3, 0);
	tasks_await();

	print("tasks: what the driver prints\n");
	task_create("printer", print_from_elsewhere, 0, 0);
	tasks_await();

	print("tasks: a port of one's own\n");
	task_create("owner of the port", use_a_port, 1, 0x3ff);
	task_create("owner of another port", use_a_port, 2, 0x3fe);
	tasks_await();
}

static void run_misbehaviours(int limits)
{
	/* The pointers in the image are good in the programs' segment; here is where the loader has put them. */
	const uint8_t *image = program_load(0);
	const struct misbehaviour *list = (const struct misbehaviour *)(image + (uint32_t)misbehaviours);

	print("tasks: what programs may not do\n");
	for (uint32_t which = 0; list[which].name; which++) {
		if (list[which].against_segment && !limits)
			continue;
		task_create((const char *)(image + (uint32_t)list[which].name), misbehave, which, 0);
		tasks_await();
	}
	if (limits) {
		task_create_kernel("exhausts its stack", overflow_stack, 256);
		tasks_await();
	}
}

static void run_preempted(void)
{
	print("tasks: preemption\n");
	gate_set(IRQ_BASE + IRQ_TIMER, KERNEL_CODE, (uint32_t)timer_entry, GATE_INTERRUPT);
	timer_init(HERTZ, 0);
	task_create("one", wait_for_the_other, 1, 0);
	task_create("two", wait_for_the_other, 2, 0);
	tasks_await();
}

/* Whether the command line ends with `word`: loaders begin it with the kernel's name, or not. */
static int told(const uint32_t *information, const char *word)
{
	const char *line = information[0] & MULTIBOOT_COMMAND_LINE ? (const char *)information[4] : "";
	const char *end = line;
	unsigned length = 0;

	while (*end)
		end++;
	while (word[length])
		length++;
	if ((unsigned)(end - line) < length)
		return 0;
	while (length && end[-1] == word[length - 1])
		end--, length--;
	return length == 0;
}

void kernel_main(uint32_t magic, const uint32_t *information);

void kernel_main(uint32_t magic, const uint32_t *information)
{
	(void)magic;
	gdt_init();
	gates_init();
	clerk_init();
	faults_init();
	tasks_init("director");

	call_tasks();
	run_programs();
	run_misbehaviours(told(information, "limits"));
	run_preempted();
	print("tasks: done\n");
	power_off();
}
