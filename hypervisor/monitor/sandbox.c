/* seccomp: what a guest's host process may ask of the host kernel.
 *
 * The whole process belongs to the guest; code of the guest can jump to any `syscall` instruction in it.
 * So the filter allows only calls whose effect stays in the process or goes through its own five
 * descriptors, and checks the arguments of those that could reach further:
 *   mmap       fixed, shared, of the two memory files (or anonymous never), below 4 GiB
 *   munmap     below 4 GiB
 *   read/write the three eventfds
 *   fork       only the zygote
 * A system call by another door (int 0x80, sysenter, 32-bit syscall) is the guest's own interrupt: it
 * raises SIGSYS and is given to the guest. */
#include "monitor.h"
#include "sys.h"

struct bpf {
	uint16_t code;
	uint8_t jump_true, jump_false;
	uint32_t k;
};

enum { LOAD = 0x20, JEQ = 0x15, JGE = 0x35, JSET = 0x45, RETURN = 0x06 };
enum { ARCH_X86_64 = 0xc000003e };
enum { RET_ALLOW = 0x7fff0000, RET_TRAP = 0x00030000, RET_KILL = 0x80000000u };
enum { NUMBER = 0, ARCH = 4 };
#define ARG(n) (16 + 8 * (n))
#define ARG_HIGH(n) (ARG(n) + 4)

static struct bpf program[160];
static uint32_t length;

static void emit(uint16_t code, uint8_t jump_true, uint8_t jump_false, uint32_t k)
{
	program[length++] = (struct bpf){ code, jump_true, jump_false, k };
}

static void allow(uint32_t number)
{
	emit(JEQ, 0, 1, number);
	emit(RETURN, 0, 0, RET_ALLOW);
}

/* The accumulator holds the system call number again after each rule. */
static void allow_descriptors(uint32_t number, uint32_t first, uint32_t second)
{
	emit(JEQ, 0, 4, number);
	emit(LOAD, 0, 0, ARG(0));
	emit(JEQ, 1, 0, first);
	emit(JEQ, 0, 1, second);
	emit(RETURN, 0, 0, RET_ALLOW);
	emit(LOAD, 0, 0, NUMBER);
}

/* Address and length in 32 bits (guest-linear plus slide wraps at 4 GiB, as segment bases do). */
static void allow_low_memory(uint32_t number, bool map)
{
	uint8_t rest = map ? 11 : 5; /* instructions of this rule behind the first, but for the last */

	emit(JEQ, 0, (uint8_t)(rest + 1), number);
	emit(LOAD, 0, 0, ARG_HIGH(0));
	emit(JEQ, 0, (uint8_t)(rest - 2), 0);
	emit(LOAD, 0, 0, ARG_HIGH(1));
	emit(JEQ, 0, (uint8_t)(rest - 4), 0);
	if (map) {
		emit(LOAD, 0, 0, ARG(3));
		emit(JEQ, 1, 0, MAP_SHARED | MAP_FIXED);
		emit(JEQ, 0, 4, MAP_SHARED | MAP_FIXED | MAP_POPULATE);
		emit(LOAD, 0, 0, ARG(4));
		emit(JEQ, 1, 0, RAM_FD);
		emit(JEQ, 0, 1, STATE_FD);
	}
	emit(RETURN, 0, 0, RET_ALLOW);
	emit(LOAD, 0, 0, NUMBER);
}

static void build(bool zygote)
{
	length = 0;
	emit(LOAD, 0, 0, ARCH);
	emit(JEQ, 1, 0, ARCH_X86_64);
	emit(RETURN, 0, 0, RET_TRAP);
	emit(LOAD, 0, 0, NUMBER);
	allow(SYS_futex);
	allow_low_memory(SYS_mmap, true);
	allow_low_memory(SYS_munmap, false);
	allow_descriptors(SYS_write, EXIT_FD, EXIT_FD);
	allow_descriptors(SYS_read, RESUME_FD, WAKE_FD);
	allow(SYS_timer_settime);
	allow(SYS_clock_gettime);
	allow(SYS_ppoll);
	allow(SYS_modify_ldt);
	allow(SYS_rt_sigreturn);
	allow(SYS_getpid);
	allow(SYS_exit_group);
	if (zygote) {
		/* What a member needs on its way to its own, narrower filter. */
		allow(SYS_fork);
		allow(SYS_wait4);
		allow(SYS_getppid);
		allow(SYS_prctl);
		allow(SYS_timer_create);
		allow(SYS_seccomp);
	}
	emit(RETURN, 0, 0, RET_TRAP);
}

/* Take away what this process does not need any more. Filters add up: a member passes both. */
void sandbox_enter(bool zygote)
{
	struct {
		uint16_t length;
		struct bpf *filter;
	} __attribute__((aligned(8))) description;

	build(zygote);
	description.length = (uint16_t)length;
	description.filter = program;
	if (zygote) {
		int64_t error = syscall6(SYS_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0, 0);

		if (error < 0)
			fatal(ERROR_SECCOMP, (uint64_t)-error);
		syscall6(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0, 0);
	}
	int64_t error = syscall3(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &description);

	if (error < 0)
		fatal(ERROR_SECCOMP, (uint64_t)-error);
}
