/* Messages. Sender and receiver meet: whoever comes first waits for the other, so nothing is stored but in the tasks
 * themselves. */
#include "task.h"

static void deliver(struct task *from, struct task *to)
{
	to->message = from->message;
	to->result = (int)task_number(from);
	task_ready(to);
}

static void wait_for_reply(struct task *task)
{
	task->state = RECEIVING;	/* `partner` is set, `calling` too: only a reply will do */
}

int ipc_send(unsigned number, int calling)
{
	struct task *to = task_find(number);

	if (!to || to == current)
		return ERROR_NO_TASK;
	current->partner = number;
	current->calling = calling;
	current->result = 0;
	if (to->state == RECEIVING && !to->calling && (to->partner == ANY || to->partner == task_number(current))) {
		deliver(current, to);
		if (calling)
			task_block(RECEIVING);
	} else {
		queue_put(&to->senders, current);
		task_block(SENDING);
	}
	return current->result;
}

static void take_interrupts(struct task *task)
{
	task->message = (struct message){ .type = MESSAGE_INTERRUPT, .words = { task->interrupts } };
	task->interrupts = 0;
	task->result = KERNEL;
}

int ipc_receive(unsigned number)
{
	struct task *from = number == ANY ? 0 : task_find(number);

	if (number != ANY && !from)
		return ERROR_NO_TASK;
	if (number == ANY && current->interrupts) {
		take_interrupts(current);
		return current->result;
	}
	from = queue_take(&current->senders, from);
	if (from) {
		current->message = from->message;
		if (from->calling)
			wait_for_reply(from);
		else
			task_ready(from);
		return (int)task_number(from);
	}
	current->partner = number;
	current->calling = 0;
	task_block(RECEIVING);
	return current->result;
}

int ipc_reply(unsigned number)
{
	struct task *to = task_find(number);

	if (!to)
		return ERROR_NO_TASK;
	if (to->state != RECEIVING || !to->calling || to->partner != task_number(current))
		return ERROR_NOT_WAITING;
	deliver(current, to);
	return 0;
}

void ipc_interrupt(struct task *task, unsigned irq)
{
	task->interrupts |= 1u << irq;
	if (task->state == RECEIVING && !task->calling && task->partner == ANY) {
		take_interrupts(task);
		task_ready(task);
	}
}

void ipc_forget(struct task *ended)
{
	for (struct task *task = tasks + 1; task < tasks + TASKS; task++) {
		if ((task->state != SENDING && task->state != RECEIVING) || task->partner != task_number(ended))
			continue;
		if (task->state == SENDING)
			queue_take(&ended->senders, task);
		task->result = ERROR_NO_TASK;
		task_ready(task);
	}
}
