/* How threads wait for each other. Whoever waits is served by priority, and gets what it waited for handed
 * over: nobody can snatch it in between. */
#ifndef SYNC_H
#define SYNC_H

#include "thread.h"

struct semaphore {
	unsigned count;
};

void semaphore_wait(struct semaphore *semaphore);
void semaphore_signal(struct semaphore *semaphore);

/* A lock with priority inheritance: its owner runs at the priority of the most urgent thread that wants it, or
 * threads of middle priority could keep an urgent one waiting for as long as they like. */
struct mutex {
	struct thread *owner;
};

void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

#endif
