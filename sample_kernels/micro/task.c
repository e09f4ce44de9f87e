/* Who runs: the most urgent task that can, and among equals each in turn. */
#include "task.h"
#include "cpu.h"
#include "paging.h"
#include "pc.h"
#include "trap.h"

struct task tasks[TASKS] = { { .state = READY, .name = "kernel" } };
struct task *current = tasks;
static struct task_queue ready[PRIORITIES];

/* entry.S */
void switch_stacks(uint32_t **save, uint32_t *load);
void enter_user(void);

void queue_put(struct task_queue *queue, struct task *task)
{
	task->next = 0;
	if (queue->first)
		queue->last->next = task;
	else
		queue->first = task;
	queue->last = task;
}

struct task *queue_take(struct task_queue *queue, const struct task *wanted)
{
	struct task *before = 0, *task = queue->first;

	while (task && wanted && task != wanted)
		before = task, task = task->next;
	if (!task)
		return 0;
	if (before)
		before->next = task->next;
	else
		queue->first = task->next;
	if (queue->last == task)
		queue->last = before;
	return task;
}

struct task *task_find(unsigned number)
{
	if (number == KERNEL || number >= TASKS || tasks[number].state == UNUSED || tasks[number].state == ENDED)
		return 0;
	return &tasks[number];
}

struct task *task_create(const char *name, size_t length, uint32_t *space, uint32_t entry, uint32_t stack)
{
	struct task *task = tasks + 1;
	struct trap_frame *frame;

	while (task < tasks + TASKS && task->state != UNUSED)
		task++;
	if (task == tasks + TASKS)
		panic("more than %u tasks", TASKS - 1u);
	for (size_t at = 0; at < length && at < NAME_SIZE - 1; at++)
		task->name[at] = name[at];
	task->space = space;
	task->priority = 1;

	/* As if it had come in by a trap, and then called switch_stacks(). */
	frame = (struct trap_frame *)(task->kernel_stack + KERNEL_STACK) - 1;
	*frame = (struct trap_frame){
		.es = USER_DATA, .ds = USER_DATA, .eip = entry, .cs = USER_CODE, .eflags = EFLAGS_IF | 2,
		.esp = stack, .ss = USER_DATA,
	};
	task->stack = (uint32_t *)frame - 5;
	task->stack[4] = (uint32_t)enter_user;
	task->state = ENDED;		/* until somebody makes it ready */
	return task;
}

void task_ready(struct task *task)
{
	task->state = READY;
	queue_put(&ready[task->priority], task);
}

static struct task *most_urgent(void)
{
	for (int priority = PRIORITIES - 1; priority >= 0; priority--)
		if (ready[priority].first)
			return ready[priority].first;
	return 0;
}

static void switch_to(struct task *next)
{
	struct task *before = current;

	if (next == before)
		return;
	if (next != tasks)
		queue_take(&ready[next->priority], next);
	current = next;
	space_switch(next->space);
	protection_switch(next);
	switch_stacks(&before->stack, next->stack);
}

void task_block(enum task_state state)
{
	struct task *next;

	current->state = state;
	next = most_urgent();
	switch_to(next ? next : tasks);
}

void task_preempt(int rotate)
{
	struct task *next = most_urgent();

	if (!next || next->priority < current->priority + !rotate)
		return;
	task_ready(current);
	switch_to(next);
}

_Noreturn void task_end(void)
{
	irq_revoke(current);
	ipc_forget(current);
	space_destroy(current->space);
	current->space = 0;
	task_block(ENDED);
	panic("task %u goes on after its end", task_number(current));
}

_Noreturn void tasks_run(void)
{
	for (;;) {
		struct task *next = most_urgent();

		if (next)
			switch_to(next);
		else
			wait_for_interrupt();
	}
}
