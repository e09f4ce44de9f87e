/* The scheduler: round robin, a tick each. A process has a kernel stack of its own, so one that waits in the middle of
 * a system call just is not switched to for a while. */
#include "process.h"

#include "segments.h"
#include "x86.h"

struct process processes[PROCESSES_MAX];

static struct process boot;		/* whose stack the kernel starts on; never switched back to */
struct process *current = &boot;

static volatile uint32_t ticks;
static int preempt;			/* the running process has had its tick */
static int last_pid;

/* switch.S: push the callee-saved registers, store ESP, take the other stack, pop them. */
void switch_stacks(uint32_t **save, uint32_t *load);
/* entry.S: leave the kernel with the frame on the stack. */
void trap_return(void);

struct interrupt_frame *process_frame(const struct process *process)
{
	return (struct interrupt_frame *)((char *)process->stack + PAGE_SIZE) - 1;
}

/* The new stack is as if `entry`, called from where the kernel is left, were about to begin. */
struct process *process_create(const struct space *space, void (*entry)(void))
{
	struct process *process = processes;
	void *stack = page_allocate();
	uint32_t *top;

	while (process < processes + PROCESSES_MAX && process->state != PROCESS_FREE)
		process++;
	if (!stack || process == processes + PROCESSES_MAX) {
		if (stack)
			page_free(stack);
		return NULL;
	}
	*process = (struct process){ .state = PROCESS_BLOCKED, .pid = ++last_pid, .stack = stack, .space = *space };
	top = (uint32_t *)process_frame(process);
	*--top = (uint32_t)trap_return;
	if (entry)
		*--top = (uint32_t)entry;
	process->stack_pointer = top - 4;	/* EBP, EBX, ESI, EDI for switch_stacks to pop */
	return process;
}

void process_release(struct process *process)
{
	page_free(process->stack);
	process->state = PROCESS_FREE;
}

void process_start(struct process *process)
{
	process->state = PROCESS_READY;
}

static struct process *next_ready(void)
{
	unsigned at = current == &boot ? 0 : (unsigned)(current - processes);

	for (unsigned step = 1; step <= PROCESSES_MAX; step++) {
		struct process *process = &processes[(at + step) % PROCESSES_MAX];

		if (process->state == PROCESS_READY)
			return process;
	}
	return NULL;
}

/* Go on with whoever is ready. Where nobody is, wait for an interrupt, on the stack of who ran last. */
static void run_next(void)
{
	struct process *next, *previous = current;

	while (!(next = next_ready())) {
		sti_hlt();
		cli();
	}
	preempt = 0;
	if (next == previous)
		return;
	current = next;
	kernel_stack_set((uint32_t)next->stack + PAGE_SIZE);
	space_activate(next->space.directory);
	switch_stacks(&previous->stack_pointer, next->stack_pointer);
}

void process_block(const void *object)
{
	current->state = PROCESS_BLOCKED;
	current->waits_for = object;
	run_next();
}

void process_unblock(struct process *process)
{
	process->state = PROCESS_READY;
	process->waits_for = NULL;
	process->wake_tick = 0;
}

void process_wake(const void *object)
{
	for (struct process *process = processes; process < processes + PROCESSES_MAX; process++)
		if (process->state == PROCESS_BLOCKED && process->waits_for == object)
			process_unblock(process);
}

void process_yield(void)
{
	run_next();
}

void process_leave(void)
{
	run_next();
	panic("process %d runs after its end", current->pid);
}

uint32_t ticks_now(void)
{
	return ticks;
}

uint32_t ticks_in(uint32_t milliseconds)
{
	uint32_t tick = ticks + milliseconds / (1000 / HERTZ) + 1;	/* the one under way is not counted */

	return tick ? tick : 1;
}

int preemption_due(void)
{
	return preempt;
}

static int is_due(uint32_t tick)
{
	return tick && (int32_t)(ticks - tick) >= 0;
}

static void on_timer(struct interrupt_frame *frame)
{
	ticks++;
	if (frame->cs & 3) {
		current->ticks_used++;
		preempt = 1;
	}
	for (struct process *process = processes; process < processes + PROCESSES_MAX; process++) {
		if (process->state == PROCESS_FREE || process->state == PROCESS_ZOMBIE)
			continue;
		if (process->state == PROCESS_BLOCKED && is_due(process->wake_tick))
			process_unblock(process);
		if (is_due(process->alarm_tick)) {
			process->alarm_tick = 0;
			signal_send(process, SIGALRM);
		}
	}
}

void processes_run(void)
{
	timer_init(HERTZ, on_timer);
	process_leave();
}
