/* Semaphores, and mutexes with priority inheritance. */
#include "sync.h"

#include <stddef.h>

#include "x86.h"

void semaphore_wait(struct semaphore *semaphore)
{
	uint32_t flags = interrupts_save();

	if (semaphore->count)
		semaphore->count--;
	else
		thread_block(semaphore, NULL);
	interrupts_restore(flags);
}

void semaphore_signal(struct semaphore *semaphore)
{
	uint32_t flags = interrupts_save();
	struct thread *waiter = thread_waiting_for(semaphore);

	if (waiter) {
		thread_unblock(waiter);
		thread_preempt();
	} else {
		semaphore->count++;
	}
	interrupts_restore(flags);
}

/* Lend our priority to the owner, and to whomever that owner waits for in turn. */
static void lend_priority(struct mutex *mutex)
{
	for (; mutex && mutex->owner; mutex = mutex->owner->wants)
		if (mutex->owner->priority < current->priority)
			mutex->owner->priority = current->priority;
}

/* Keep only what is lent for mutexes that we still own. */
static void return_priority(void)
{
	unsigned priority = current->base_priority;

	for (struct thread *thread = threads; thread < threads + THREADS_MAX; thread++)
		if (thread->wants && thread->wants->owner == current && thread->priority > priority)
			priority = thread->priority;
	current->priority = priority;
}

void mutex_lock(struct mutex *mutex)
{
	uint32_t flags = interrupts_save();

	if (mutex->owner) {
		lend_priority(mutex);
		thread_block(mutex, mutex);
	} else {
		mutex->owner = current;
	}
	interrupts_restore(flags);
}

void mutex_unlock(struct mutex *mutex)
{
	uint32_t flags = interrupts_save();
	struct thread *waiter = thread_waiting_for(mutex);

	mutex->owner = waiter;
	if (waiter)
		thread_unblock(waiter);
	return_priority();
	thread_preempt();
	interrupts_restore(flags);
}
