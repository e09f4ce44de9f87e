/* How processes begin and end. */
#include "process.h"

#include "errors.h"
#include "file.h"
#include "inode.h"
#include "syscall.h"

static void copy_string(char *to, const char *from, unsigned room)
{
	while (--room && *from)
		*to++ = *from++;
	*to = 0;
}

/* The child is the parent over again, except that it gets 0. */
int32_t sys_fork(const struct call *call)
{
	struct process *child;
	struct space space;

	(void)call;
	if (!space_copy(&space, &current->space))
		return -ENOMEM;
	child = process_create(&space, NULL);
	if (!child) {
		space_free(&space);
		return -EAGAIN;
	}
	child->parent = current;
	copy_string(child->name, current->name, sizeof(child->name));
	*process_frame(child) = *process_frame(current);
	process_frame(child)->eax = 0;
	for (unsigned descriptor = 0; descriptor < FILES_MAX; descriptor++)
		if (current->files[descriptor])
			child->files[descriptor] = file_share(current->files[descriptor]);
	child->directory = inode_share(current->directory);
	child->masked = current->masked;
	child->handler_return = current->handler_return;
	memcpy(child->handlers, current->handlers, sizeof(child->handlers));
	process_start(child);
	return child->pid;
}

/* The parent waits for itself, so to speak, when it waits for children. */
static void tell_parent(struct process *child)
{
	signal_send(child->parent, SIGCHLD);
	process_wake(child->parent);
}

/* The first process becomes the parent of who has none any more. */
static void give_children_away(void)
{
	struct process *first = process_find(FIRST_PID);

	for (struct process *child = processes; child < processes + PROCESSES_MAX; child++)
		if (child->state != PROCESS_FREE && child->parent == current) {
			child->parent = first;
			if (child->state == PROCESS_ZOMBIE)
				tell_parent(child);
		}
}

void process_exit(int status)
{
	if (current->pid == FIRST_PID)
		panic("the first process ended with status %x", status);
	for (unsigned descriptor = 0; descriptor < FILES_MAX; descriptor++)
		if (current->files[descriptor])
			file_close(current->files[descriptor]);
	file_system_lock();
	inode_put(current->directory);
	file_system_unlock();
	space_activate(kernel_directory);
	space_free(&current->space);
	give_children_away();
	current->status = status;
	current->state = PROCESS_ZOMBIE;	/* on a stack that only the parent frees */
	tell_parent(current);
	process_leave();
}

int32_t sys_exit(const struct call *call)
{
	process_exit((int)(call->first & 0xff) << 8);
}

struct process *process_find(int pid)
{
	for (struct process *process = processes; process < processes + PROCESSES_MAX; process++)
		if (process->state != PROCESS_FREE && process->pid == pid)
			return process;
	return NULL;
}

/* A child with this pid (-1: any) that has ended, or else any that matches, or NULL. */
static struct process *find_child(int pid)
{
	struct process *found = NULL;

	for (struct process *child = processes; child < processes + PROCESSES_MAX; child++) {
		if (child->state == PROCESS_FREE || child->parent != current || (pid != -1 && child->pid != pid))
			continue;
		if (child->state == PROCESS_ZOMBIE)
			return child;
		found = child;
	}
	return found;
}

/* waitpid(pid, status, options) */
int32_t sys_waitpid(const struct call *call)
{
	struct process *child;
	int pid;

	if (call->second && user_check(call->second, 4, 1))
		return -EFAULT;
	while ((child = find_child((int)call->first)) && child->state != PROCESS_ZOMBIE) {
		if (call->third & WAIT_NO_HANG)
			return 0;
		if (signal_pending())
			return -EINTR;
		process_block(current);
	}
	if (!child)
		return -ECHILD;
	pid = child->pid;
	if (call->second)
		*(int *)call->second = child->status;
	process_release(child);
	return pid;
}

int32_t sys_getpid(const struct call *call)
{
	(void)call;
	return current->pid;
}

int32_t sys_getppid(const struct call *call)
{
	(void)call;
	return current->parent ? current->parent->pid : 0;
}

/* sbrk(increment): the old end of the heap. What is added gets its pages when it is touched. */
int32_t sys_sbrk(const struct call *call)
{
	struct space *space = &current->space;
	uint32_t old = space->heap_end, end = old + call->first;
	int grows = (int32_t)call->first >= 0;

	if (grows ? end < old || end > HEAP_LIMIT : end > old || end < space->heap_start)
		return -ENOMEM;
	space->heap_end = end;
	if (!grows) {
		space_drop(space, PAGE_ROUND_UP(end), PAGE_ROUND_UP(old));
		space_activate(space->directory);
	}
	return (int32_t)old;
}

/* process_info(index, info): 1 and what is known of the process in that place, 0 if there is none, or -EINVAL. */
int32_t sys_process_info(const struct call *call)
{
	struct process *process = &processes[call->first];
	struct process_info *info = (struct process_info *)call->second;

	if (call->first >= PROCESSES_MAX)
		return -EINVAL;
	if (user_check(call->second, sizeof(*info), 1))
		return -EFAULT;
	if (process->state == PROCESS_FREE)
		return 0;
	*info = (struct process_info){
		.pid = process->pid, .parent = process->parent ? process->parent->pid : 0,
		.milliseconds = process->ticks_used * (1000 / HERTZ),
		.pages = process->space.directory ? space_pages(&process->space) : 0,
		.state = process->state == PROCESS_READY ? 'R' : process->state == PROCESS_ZOMBIE ? 'Z' : 'S',
	};
	copy_string(info->name, process->name, sizeof(info->name));
	return 1;
}

/* sleep_ms(milliseconds) */
int32_t sys_sleep_ms(const struct call *call)
{
	uint32_t wake = ticks_in(call->first);

	while ((int32_t)(wake - ticks_now()) > 0) {
		if (signal_pending())
			return -EINTR;
		current->wake_tick = wake;
		process_block(&current->wake_tick);
	}
	return 0;
}

int32_t sys_uptime_ms(const struct call *call)
{
	(void)call;
	return (int32_t)(ticks_now() * (1000 / HERTZ));
}

/* Only the first process may, which has seen all others end. */
int32_t sys_power_off(const struct call *call)
{
	(void)call;
	if (current->pid != FIRST_PID)
		return -EPERM;
	file_system_sync();
	print("unix: power off\n");
	power_off();
}
