/* Address-space processes: one host process per guest CR3, least recently used, sharing the vCPU.
 *
 * The first process is the zygote: it maps no guest memory, runs no guest code, forks the others on
 * request and ends the guest when one of them dies. Exactly one member runs at a time; the others wait
 * on their `turn` word. A member is only a cache of one CR3's mappings. */
#include "monitor.h"
#include "sys.h"

uint32_t self;

/* x87, SSE and AVX travel with the vCPU; state components beyond them are not offered to guests. */
#define FPU_COMPONENTS 7u

static void fpu_save(void)
{
	__asm__ volatile("xsave64 %0" : "=m"(machine.fpu) : "a"(FPU_COMPONENTS), "d"(0) : "memory");
}

static void fpu_restore(void)
{
	__asm__ volatile("xrstor64 %0" : : "m"(machine.fpu), "a"(FPU_COMPONENTS), "d"(0) : "memory");
}

static void segments_save(void)
{
	if (machine.segments_lost)
		return; /* the vCPU has them already */
	__asm__ volatile("mov %%ds, %0" : "=r"(vcpu.host_ds));
	__asm__ volatile("mov %%es, %0" : "=r"(vcpu.host_es));
	__asm__ volatile("mov %%fs, %0" : "=r"(vcpu.host_fs));
	__asm__ volatile("mov %%gs, %0" : "=r"(vcpu.host_gs));
	machine.segments_lost = 1;
}

static void wait_for(volatile uint32_t *turn)
{
	while (!*turn)
		sys_futex(turn, FUTEX_WAIT, 0);
	*turn = 0;
}

static void give(volatile uint32_t *turn)
{
	*turn = 1;
	sys_futex(turn, FUTEX_WAKE, 1);
}

/* This process has the vCPU: bring its copies of shared things up to date and run guest code. */
static _Noreturn void become_current(void)
{
	struct member *member = &machine.pool[self];

	control.current_pid = member->pid;
	member->last_used = ++machine.clock;
	fpu_restore();
	mirror_sync();
	if (member->flush) {
		member->flush = 0;
		vtlb_flush();
	} else {
		vtlb_validate(true);
	}
	timers_rearm();
	trace_operation_ends();
	coverage_ends();
	resume();
}

static _Noreturn void member_main(uint32_t index, int64_t zygote_pid)
{
	self = index;
	syscall3(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, 9, 0);
	if (syscall3(SYS_getppid, 0, 0, 0) != zygote_pid)
		syscall3(SYS_exit_group, 1, 0, 0);
	timers_create();
	sandbox_enter(false);
	machine.pool[self].pid = (uint32_t)syscall3(SYS_getpid, 0, 0, 0);
	control.members++;
	exit_prepare(self, machine.pool[self].pid, 0, 0, 0);
	exit_to_vmm(EXIT_NEW_MEMBER);
	become_current();
}

/* The zygote: fork what is asked for. Its SIGCHLD handler (signal.c) ends the guest. How many there are
 * and may be it knows by itself: what lies in shared memory is the guest's word. */
_Noreturn void pool_run(void)
{
	int64_t zygote_pid = syscall3(SYS_getpid, 0, 0, 0);
	const uint32_t most = control.pool_max;
	uint32_t forked = 0;

	fpu_save(); /* the guest starts with the FPU as the host gives it to a new process */
	sandbox_enter(true);
	machine.members = 1;
	machine.pool[0].cr3 = shared.cr3;
	machine.segments_lost = 1;
	mirror_table();
	machine.request = 1;
	for (;;) {
		if (machine.request && forked < most) {
			machine.request = 0;
			int64_t pid = syscall3(SYS_fork, 0, 0, 0);

			if (pid == 0)
				member_main(forked, zygote_pid);
			if (pid < 0)
				fatal(ERROR_FORK, (uint64_t)-pid);
			forked++;
		}
		wait_for(&machine.zygote_turn);
	}
}

static uint32_t choose_member(uint32_t cr3, bool *create)
{
	uint32_t oldest = self == 0 ? 1 : 0, count = machine.members;

	for (uint32_t i = 0; i < count; i++)
		if (machine.pool[i].cr3 == cr3)
			return i;
	if (count < control.pool_max && count < MEMBERS_MAX) {
		*create = true;
		return count;
	}
	if (count < 2)
		return self;
	for (uint32_t i = 0; i < count; i++)
		if (i != self && machine.pool[i].last_used < machine.pool[oldest].last_used)
			oldest = i;
	return oldest;
}

/* Hand the vCPU to the process for `cr3`, which goes on behind the current operation. Returns only
 * where that process is this one. */
void pool_switch(uint32_t cr3)
{
	bool create = false;
	uint32_t next = choose_member(cr3, &create);

	machine.pool[next].cr3 = cr3;
	if (next == self)
		return;
	uint32_t me = self;

	segments_save();
	fpu_save();
	control.switches++;
	if (tracing(TRACE_SWITCH))
		trace_event(TRACE_SWITCH, 0, (uint32_t[5]){ me, next, cr3, create }, 0);
	machine.current = next;
	if (create) {
		machine.members = next + 1;
		machine.request = 1;
		give(&machine.zygote_turn);
	} else {
		give(&machine.pool[next].turn);
	}
	wait_for(&machine.pool[me].turn);
	become_current();
}

/* All translations of all processes are stale (a change of CR0 or CR4). */
void pool_flush_all(void)
{
	for (uint32_t i = 0; i < machine.members; i++)
		if (i != self)
			machine.pool[i].flush = 1;
	vtlb_flush();
}
