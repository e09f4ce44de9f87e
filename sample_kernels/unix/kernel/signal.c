/* Signals: sent at any time, delivered when the process is about to go on in ring 3. A handler runs on the process's own
 * stack, on top of what it will go on with; when it returns, it comes to a piece of the program's library that calls
 * signal_return(). */
#include "process.h"

#include "errors.h"
#include "syscall.h"

#define EFLAGS_INTERRUPTS 0x200
#define EFLAGS_USER 0xcd5		/* what a program may have as it likes: arithmetic flags and DF */

/* What lies on the stack when a handler begins. */
struct signal_frame {
	uint32_t return_address;
	uint32_t number;		/* the handler's argument */
	uint32_t mask;
	uint32_t edi, esi, ebp, ebx, edx, ecx, eax, eip, eflags, esp;
};

static uint32_t bit(int number)
{
	return 1u << number;
}

/* The first process gets only what it has handlers for: nobody can end it. */
void signal_send(struct process *process, int number)
{
	uint32_t handler = process->handlers[number];

	if (handler == SIGNAL_IGNORE ||
	    (handler == SIGNAL_DEFAULT && (number == SIGCHLD || process->pid == FIRST_PID)))
		return;
	process->signals |= bit(number);
	if (process->state == PROCESS_BLOCKED && process->signals & ~process->masked)
		process_unblock(process);
}

void signal_send_all(int number)
{
	for (struct process *process = processes; process < processes + PROCESSES_MAX; process++)
		if (process->state != PROCESS_FREE && process->state != PROCESS_ZOMBIE && process->pid != FIRST_PID &&
		    process != current)
			signal_send(process, number);
}

void signal_fault(int number)
{
	if (current->masked & bit(number) || current->handlers[number] == SIGNAL_IGNORE)
		current->handlers[number] = SIGNAL_DEFAULT;
	current->masked &= ~bit(number);
	current->signals |= bit(number);
}

int signal_pending(void)
{
	return (current->signals & ~current->masked) != 0;
}

void signals_reset(struct process *process)
{
	for (unsigned number = 0; number < SIGNALS; number++)
		if (process->handlers[number] != SIGNAL_IGNORE)
			process->handlers[number] = SIGNAL_DEFAULT;
}

static void call_handler(struct interrupt_frame *frame, int number)
{
	struct signal_frame *saved = (struct signal_frame *)((frame->user_esp & ~3u) - sizeof(*saved));

	if (user_check((uint32_t)saved, sizeof(*saved), 1))
		process_exit(SIGSEGV);		/* no stack to run the handler on */
	*saved = (struct signal_frame){
		.return_address = current->handler_return, .number = (uint32_t)number,
		.mask = current->waits_for_signal ? current->mask_after : current->masked,
		.edi = frame->edi, .esi = frame->esi, .ebp = frame->ebp, .ebx = frame->ebx, .edx = frame->edx,
		.ecx = frame->ecx, .eax = frame->eax, .eip = frame->eip, .eflags = frame->eflags,
		.esp = frame->user_esp,
	};
	current->waits_for_signal = 0;
	current->masked |= bit(number);
	frame->user_esp = (uint32_t)saved;
	frame->eip = current->handlers[number];
	frame->eflags &= ~EFLAGS_USER;
}

void signals_deliver(struct interrupt_frame *frame)
{
	while (signal_pending()) {
		int number = __builtin_ctz(current->signals & ~current->masked);

		current->signals &= ~bit(number);
		if (current->handlers[number] == SIGNAL_DEFAULT)
			process_exit(number);
		call_handler(frame, number);
	}
}

int32_t sys_signal_return(const struct call *call)
{
	struct interrupt_frame *frame = process_frame(current);
	const struct signal_frame *saved;

	(void)call;
	saved = (const struct signal_frame *)(frame->user_esp - offsetof(struct signal_frame, number));
	if (user_check((uint32_t)saved, sizeof(*saved), 0))
		process_exit(SIGSEGV);
	frame->edi = saved->edi;
	frame->esi = saved->esi;
	frame->ebp = saved->ebp;
	frame->ebx = saved->ebx;
	frame->edx = saved->edx;
	frame->ecx = saved->ecx;
	frame->eip = saved->eip;
	frame->eflags = (saved->eflags & EFLAGS_USER) | EFLAGS_INTERRUPTS;
	frame->user_esp = saved->esp;
	current->masked = saved->mask & ~bit(SIGKILL);
	return (int32_t)saved->eax;		/* which becomes EAX, as every result does */
}

/* signal_action(number, handler, return_address): the old handler. */
int32_t sys_signal_action(const struct call *call)
{
	uint32_t old;

	if (call->first == 0 || call->first >= SIGNALS || call->first == SIGKILL || call->second >= USER_TOP)
		return -EINVAL;
	old = current->handlers[call->first];
	current->handlers[call->first] = call->second;
	current->handler_return = call->third;
	if (call->second == SIGNAL_IGNORE)
		current->signals &= ~bit((int)call->first);
	return (int32_t)old;
}

/* signal_mask(mask): the old mask. */
int32_t sys_signal_mask(const struct call *call)
{
	uint32_t old = current->masked;

	current->masked = call->first & ~bit(SIGKILL);
	return (int32_t)old;
}

/* signal_wait(mask): wait, with this mask, until a handler has run. */
int32_t sys_signal_wait(const struct call *call)
{
	current->mask_after = current->masked;
	current->waits_for_signal = 1;
	current->masked = call->first & ~bit(SIGKILL);
	while (!signal_pending())
		process_block(&current->masked);
	return -EINTR;
}

/* alarm_ms(milliseconds): SIGALRM then; 0: never. */
int32_t sys_alarm_ms(const struct call *call)
{
	current->alarm_tick = call->first ? ticks_in(call->first) : 0;
	return 0;
}

/* kill(pid, number): pid -1 is every process that signal_send_all() means; number 0 only asks whether it is there. */
int32_t sys_kill(const struct call *call)
{
	struct process *process;

	if (call->second >= SIGNALS)
		return -EINVAL;
	if ((int)call->first == -1) {
		if (call->second)
			signal_send_all((int)call->second);
		return 0;
	}
	process = process_find((int)call->first);
	if (!process)
		return -ESRCH;
	if (call->second && process->state != PROCESS_ZOMBIE)
		signal_send(process, (int)call->second);
	return 0;
}
