/* Threads with fixed priorities: whenever a thread of higher priority can run, it does. */
#ifndef THREAD_H
#define THREAD_H

#include <stdint.h>

#define HERTZ 100
#define THREADS_MAX 8

struct mutex;

enum thread_state { THREAD_FREE, THREAD_READY, THREAD_SLEEPING, THREAD_BLOCKED };

struct thread {
	const char *name;
	enum thread_state state;
	unsigned base_priority;		/* as created; a larger number is more urgent */
	unsigned priority;		/* as scheduled: base, or inherited through a mutex */
	uint32_t wake_tick;		/* while sleeping */
	const void *waits_for;		/* while blocked: the semaphore or mutex */
	struct mutex *wants;		/* while blocked on a mutex: the same, as a mutex */
	volatile uint32_t ticks_used;	/* timer ticks that came while it ran */
	void (*entry)(void);
	uint32_t *stack_pointer;	/* while it does not run */
};

extern struct thread *current;

/* The boot code becomes the idle thread, of priority 0, and `entry` the first real one. */
_Noreturn void threads_start(const char *name, unsigned priority, void (*entry)(void));
/* A thread that runs `entry` and ends when that returns. */
void thread_create(const char *name, unsigned priority, void (*entry)(void));

uint32_t ticks_now(void);
/* Give up the processor until the clock shows `tick`; at once if it already does. */
void sleep_until(uint32_t tick);
/* Keep the processor busy until this thread has been charged `ticks` more ticks. */
void work(uint32_t ticks);

/* For sync.c; interrupts must be off. */
void thread_block(const void *object, struct mutex *mutex);
/* The most urgent thread blocked on `object`, or NULL. */
struct thread *thread_waiting_for(const void *object);
void thread_unblock(struct thread *thread);
/* Hand the processor over if somebody more urgent than the current thread is ready. */
void thread_preempt(void);
extern struct thread threads[THREADS_MAX];

#endif
