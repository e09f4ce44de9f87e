/* Processes. The kernel itself is never preempted: interrupts are off in it except while nobody can run, and another
 * process runs only when one of the functions below says that it waits. So nothing needs a lock that is not held while
 * waiting. */
#ifndef PROCESS_H
#define PROCESS_H

#include "abi.h"
#include "memory.h"
#include "pc.h"

#define PROCESSES_MAX 64
#define FILES_MAX 16		/* open in one process */
#define HERTZ 100		/* ticks a second */
#define FIRST_PID 1		/* of the process that must not end */

struct file;
struct inode;

struct process {
	enum { PROCESS_FREE, PROCESS_READY, PROCESS_BLOCKED, PROCESS_ZOMBIE } state;
	int pid;
	struct process *parent;
	int status;			/* of a zombie, for waitpid() */
	char name[15];
	uint32_t ticks_used;

	void *stack;			/* the kernel's, one page */
	uint32_t *stack_pointer;	/* while another process runs */
	const void *waits_for;		/* while blocked */
	uint32_t wake_tick, alarm_tick;	/* 0: none */

	struct space space;
	struct file *files[FILES_MAX];
	struct inode *directory;	/* where paths without a leading slash begin */

	uint32_t signals, masked;	/* pending, and not to be delivered now: bit n for signal n */
	int waits_for_signal;		/* in signal_wait(), */
	uint32_t mask_after;		/* which has replaced this mask */
	uint32_t handlers[SIGNALS];
	uint32_t handler_return;	/* where handlers return to */
};

extern struct process processes[PROCESSES_MAX];
extern struct process *current;

/* process.c: who runs. */
/* NULL: no room. It has the space, is blocked, and goes to ring 3 when `entry` (if any) returns. */
struct process *process_create(const struct space *space, void (*entry)(void));
void process_start(struct process *process);
_Noreturn void processes_run(void);
struct interrupt_frame *process_frame(const struct process *process);	/* what ring 3 will go on with */
void process_release(struct process *process);		/* a zombie */
void process_block(const void *object);			/* until somebody wakes `object`, or a signal comes */
void process_wake(const void *object);			/* all who wait for it */
void process_unblock(struct process *process);		/* whatever it waits for */
void process_yield(void);
_Noreturn void process_leave(void);			/* the running one is not ready any more, for good */
uint32_t ticks_now(void);
uint32_t ticks_in(uint32_t milliseconds);		/* the tick that is so far ahead; never 0 */
int preemption_due(void);

/* lifecycle.c */
_Noreturn void process_exit(int status);
struct process *process_find(int pid);			/* NULL: there is none */

/* exec.c: 0, or an error and the old program goes on. */
int exec(const char *path, const uint32_t *arguments);

/* signal.c */
void signal_send(struct process *process, int number);
void signal_send_all(int number);			/* to all but the first process and the running one */
void signal_fault(int number);				/* the running process cannot go on as it did */
int signal_pending(void);				/* a system call that waits must give up */
void signals_deliver(struct interrupt_frame *frame);
void signals_reset(struct process *process);		/* for a new program */

#endif
