/* Tasks: an address space, one thread, and where it stands in its conversations. */
#ifndef TASK_H
#define TASK_H

#include "interface.h"

#include <stddef.h>

#define TASKS 24
#define PRIORITIES 4
#define PORT_RANGES 2
#define NAME_SIZE 16
#define KERNEL_STACK 4096

enum task_state {
	UNUSED,
	READY,			/* runs, or could */
	SENDING,		/* until `partner` receives */
	RECEIVING,		/* until a message comes from `partner` */
	ENDED,
};

struct task_queue {
	struct task *first, *last;
};

struct port_range {
	uint16_t first, last;	/* last 0: none */
};

struct task {
	uint32_t *stack;		/* the kernel stack's pointer while the task does not run */
	uint32_t *space;
	enum task_state state;
	unsigned priority;		/* 0 is the least */
	struct task *next;		/* in the queue where it waits */

	unsigned partner;		/* SENDING or RECEIVING: who; may be ANY */
	int calling;			/* it waits, or will wait, for the reply of `partner` */
	int result;			/* of its system call */
	struct message message;		/* that it sends, or has got */
	struct task_queue senders;	/* to this task */
	uint32_t interrupts;		/* that it has not been told of */

	struct port_range ports[PORT_RANGES];
	char name[NAME_SIZE];
	uint8_t kernel_stack[KERNEL_STACK] __attribute__((aligned(16)));
};

extern struct task tasks[TASKS];	/* by number; 0 is the kernel itself, which waits for interrupts */
extern struct task *current;

void queue_put(struct task_queue *queue, struct task *task);
/* Take the first task, or the given one if it is there; 0: it is not. */
struct task *queue_take(struct task_queue *queue, const struct task *wanted);

/* task.c */
static inline unsigned task_number(const struct task *task)
{
	return (unsigned)(task - tasks);
}

/* The task of this number, if it lives. */
struct task *task_find(unsigned number);
/* A task that will begin, once it is made ready, at `entry` of an address space with `stack` as its stack pointer. */
struct task *task_create(const char *name, size_t length, uint32_t *space, uint32_t entry, uint32_t stack);
void task_ready(struct task *task);
/* The current task cannot go on, and comes back when it can. */
void task_block(enum task_state state);
/* Let more urgent tasks run first; with `rotate`, those that are as urgent, too. */
void task_preempt(int rotate);
_Noreturn void task_end(void);
/* Run tasks for ever. */
_Noreturn void tasks_run(void);

/* ipc.c: the system calls, with the message in the current task's `message`. */
int ipc_send(unsigned to, int calling);
int ipc_receive(unsigned from);
int ipc_reply(unsigned to);
/* A line has interrupted that is the task's. */
void ipc_interrupt(struct task *task, unsigned irq);
/* Nobody is to wait any more for a task that ends. */
void ipc_forget(struct task *task);

/* loader.c: a task of a program in ELF, with the rights that its command line gives it. */
void load_program(const uint8_t *file, size_t size, const char *line);

#endif
