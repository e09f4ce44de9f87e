/* The scheduler. One processor, so turning interrupts off is all the locking that it needs. */
#include "thread.h"

#include "pc.h"
#include "x86.h"

#define STACK_WORDS 1024

struct thread threads[THREADS_MAX];
struct thread *current = &threads[0];

static uint32_t stacks[THREADS_MAX][STACK_WORDS];
static volatile uint32_t ticks;

/* switch.S: push the callee-saved registers, store ESP, take the other stack, pop them. */
void switch_stacks(uint32_t **save, uint32_t *load);

static struct thread *most_urgent(void)
{
	struct thread *best = &threads[0];	/* the idle thread is always ready */

	for (struct thread *thread = threads; thread < threads + THREADS_MAX; thread++)
		if (thread->state == THREAD_READY && thread->priority > best->priority)
			best = thread;
	return best;
}

static void switch_to(struct thread *next)
{
	struct thread *previous = current;

	if (next == previous)
		return;
	current = next;
	switch_stacks(&previous->stack_pointer, next->stack_pointer);
}

void thread_preempt(void)
{
	struct thread *best = most_urgent();

	if (best->priority > current->priority)
		switch_to(best);
}

void thread_block(const void *object, struct mutex *mutex)
{
	current->state = THREAD_BLOCKED;
	current->waits_for = object;
	current->wants = mutex;
	switch_to(most_urgent());
}

struct thread *thread_waiting_for(const void *object)
{
	struct thread *best = NULL;

	for (struct thread *thread = threads; thread < threads + THREADS_MAX; thread++)
		if (thread->state == THREAD_BLOCKED && thread->waits_for == object &&
		    (!best || thread->priority > best->priority))
			best = thread;
	return best;
}

void thread_unblock(struct thread *thread)
{
	thread->state = THREAD_READY;
	thread->waits_for = NULL;
	thread->wants = NULL;
}

/* A new thread's first switch_stacks() "returns" here, with interrupts off like every switch. */
static void thread_begin(void)
{
	sti();
	current->entry();
	cli();
	current->state = THREAD_FREE;	/* its stack stays ours until the switch: nobody else can run */
	switch_to(most_urgent());
}

void thread_create(const char *name, unsigned priority, void (*entry)(void))
{
	uint32_t flags = interrupts_save();
	unsigned slot = 1;

	while (slot < THREADS_MAX && threads[slot].state != THREAD_FREE)
		slot++;
	if (slot == THREADS_MAX)
		panic("no room for thread %s", name);

	uint32_t *top = &stacks[slot][STACK_WORDS];

	*--top = 0;			/* where thread_begin would return to; it never does */
	*--top = (uint32_t)thread_begin;
	top -= 4;			/* EBP, EBX, ESI, EDI for switch_stacks to pop: any value will do */
	threads[slot] = (struct thread){
		.name = name, .state = THREAD_READY, .base_priority = priority, .priority = priority,
		.entry = entry, .stack_pointer = top,
	};
	thread_preempt();
	interrupts_restore(flags);
}

uint32_t ticks_now(void)
{
	return ticks;
}

void sleep_until(uint32_t tick)
{
	uint32_t flags = interrupts_save();

	if ((int32_t)(tick - ticks) > 0) {
		current->wake_tick = tick;
		current->state = THREAD_SLEEPING;
		switch_to(most_urgent());
	}
	interrupts_restore(flags);
}

void work(uint32_t amount)
{
	uint32_t start = current->ticks_used;

	while (current->ticks_used - start < amount)
		;
}

/* The interrupted thread's registers are on its stack, below this call: switching stacks here preempts it, and
 * switching back lets it return through the interrupt. */
static void on_timer(struct interrupt_frame *frame)
{
	(void)frame;
	ticks++;
	current->ticks_used++;
	for (struct thread *thread = threads; thread < threads + THREADS_MAX; thread++)
		if (thread->state == THREAD_SLEEPING && (int32_t)(ticks - thread->wake_tick) >= 0)
			thread->state = THREAD_READY;
	thread_preempt();
}

void threads_start(const char *name, unsigned priority, void (*entry)(void))
{
	cli();
	*current = (struct thread){ .name = "idle", .state = THREAD_READY };
	timer_init(HERTZ, on_timer);
	thread_create(name, priority, entry);
	for (;;)
		sti_hlt();
}
