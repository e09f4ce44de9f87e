/* Linux system calls without a libc: the monitor must not touch FS, which belongs to the guest. */
#ifndef RING3_SYS_H
#define RING3_SYS_H

#include <stddef.h>
#include <stdint.h>

enum {
	SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_mmap = 9, SYS_mprotect = 10, SYS_munmap = 11, SYS_rt_sigaction = 13,
	SYS_rt_sigprocmask = 14, SYS_rt_sigreturn = 15, SYS_getpid = 39, SYS_fork = 57, SYS_exit = 60, SYS_wait4 = 61,
	SYS_getppid = 110, SYS_sigaltstack = 131, SYS_modify_ldt = 154, SYS_prctl = 157, SYS_setrlimit = 160,
	SYS_futex = 202, SYS_timer_create = 222, SYS_timer_settime = 223, SYS_clock_gettime = 228,
	SYS_exit_group = 231, SYS_ppoll = 271, SYS_close_range = 436, SYS_seccomp = 317,
};

enum { EINTR = 4, EAGAIN = 11, ENOMEM = 12 };

/* Set by every system call and signal: the kernel leaves SS = 0x2b behind (fact of the SYSCALL path),
 * so the guest's SS must be loaded again before its code runs. */
extern uint32_t host_ss_lost __attribute__((visibility("hidden")));

/* Set by every signal: DF, TF, NT, AC and ID are not known to be clear. */
extern uint32_t host_flags_lost __attribute__((visibility("hidden")));

static inline int64_t syscall6(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f)
{
	register int64_t r10 __asm__("r10") = d;
	register int64_t r8 __asm__("r8") = e;
	register int64_t r9 __asm__("r9") = f;
	int64_t result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	host_ss_lost = 1;
	return result;
}

#define syscall3(n, a, b, c) syscall6(n, (int64_t)(a), (int64_t)(b), (int64_t)(c), 0, 0, 0)
#define syscall4(n, a, b, c, d) syscall6(n, (int64_t)(a), (int64_t)(b), (int64_t)(c), (int64_t)(d), 0, 0)

enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000,
       MAP_POPULATE = 0x8000, MAP_FIXED_NOREPLACE = 0x100000 };

static inline int64_t sys_mmap(uint64_t address, uint64_t length, int protection, int flags, int fd, uint64_t offset)
{
	return syscall6(SYS_mmap, (int64_t)address, (int64_t)length, protection, flags, fd, (int64_t)offset);
}

static inline int64_t sys_munmap(uint64_t address, uint64_t length)
{
	return syscall3(SYS_munmap, address, length, 0);
}

enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };

static inline int64_t sys_futex(volatile uint32_t *word, int operation, uint32_t value)
{
	return syscall4(SYS_futex, word, operation, value, 0);
}

struct timespec64 {
	int64_t tv_sec, tv_nsec;
};


#endif
