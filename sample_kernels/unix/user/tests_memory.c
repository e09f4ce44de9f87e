/* Address spaces, and what a program may not do. */
#include "tests.h"

#define KERNEL_ADDRESS 0xc0100000
#define HEAP_BYTES 0x20000000	/* more than there is memory */

static int global = 5;
static const int constant = 6;

static void heap(void)
{
	char *start = sbrk(0), *memory = sbrk(100000);

	CHECK(memory == start);
	for (int index = 0; index < 100000; index++)
		CHECK(memory[index] == 0);
	memset(memory, 'x', 100000);
	CHECK(sbrk(-100000) == start + 100000);
	CHECK(sbrk(0) == start);
	CHECK(sbrk(100000) == start);
	CHECK(start[99999] == 0);		/* new memory, not the old */
	CHECK((int)sbrk(0x7f000000) == -ENOMEM);
	CHECK((int)sbrk(-0x7f000000) == -ENOMEM);
}

static void touch_behind_heap(void)
{
	*((volatile char *)sbrk(0) + 5000) = 1;
}

static void heap_ends(void)
{
	CHECK(STATUS_SIGNAL(status_of(touch_behind_heap)) == SIGSEGV);
}

/* Both sides write to the same pages after a fork, in both orders. */
static void copy_on_write(void)
{
	enum { BYTES = 200000 };
	char *memory = sbrk(BYTES);
	int pid, status;

	memset(memory, 'a', BYTES);
	for (int turn = 0; turn < 4; turn++) {
		pid = fork();
		if (pid == 0) {
			for (int index = 0; index < BYTES; index += 1000)
				CHECK(memory[index] == 'a' + turn);
			memset(memory, 'z', BYTES);
			global = 9;
			for (int index = 0; index < BYTES; index += 1000)
				CHECK(memory[index] == 'z');
			exit(0);
		}
		memset(memory, 'b' + turn, BYTES);
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		for (int index = 0; index < BYTES; index++)
			CHECK(memory[index] == 'b' + turn);
		CHECK(global == 5);
	}
}

/* The kernel, too, must copy a shared page before it writes to it. */
static void copy_on_write_by_the_kernel(void)
{
	static char buffer[8192];
	int ends[2], pid, status;

	CHECK(pipe(ends) == 0);
	memset(buffer, 'a', sizeof(buffer));
	pid = fork();
	if (pid == 0) {
		CHECK(read(ends[0], buffer, 5) == 5);
		exit(memory_equal(buffer, "hello", 5) ? 0 : 1);
	}
	CHECK(write(ends[1], "hello", 5) == 5);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(buffer[0] == 'a');
}

static void touch_all(void)
{
	for (volatile char *at = sbrk(HEAP_BYTES); ; at += 4096)
		*at = 1;
}

/* Who wants more than there is ends; what it had is there for others. */
static void memory_runs_out(void)
{
	for (int turn = 0; turn < 2; turn++)
		CHECK(STATUS_SIGNAL(status_of(touch_all)) == SIGSEGV);
	heap();
}

static int deep(int depth)
{
	volatile char room[1000];

	room[0] = (char)depth;
	room[999] = 1;
	return depth ? deep(depth - 1) + room[999] : room[0];
}

static void endless(void)
{
	deep(1 << 30);
}

static void stack_grows(void)
{
	CHECK(deep(800) == 800);
	CHECK(STATUS_SIGNAL(status_of(endless)) == SIGSEGV);
}

static void read_null(void)
{
	(void)*(volatile int *)0;
}

static void write_code(void)
{
	*(volatile char *)main = 0;
}

static void write_constant(void)
{
	*(volatile int *)&constant = 1;
}

static void read_kernel(void)
{
	(void)*(volatile int *)KERNEL_ADDRESS;
}

static void write_kernel(void)
{
	*(volatile int *)KERNEL_ADDRESS = 0;
}

static void jump_to_kernel(void)
{
	((void (*)(void))KERNEL_ADDRESS)();
}

static void bad_addresses(void)
{
	void (*const bad[])(void) = {
		read_null, write_code, write_constant, read_kernel, write_kernel, jump_to_kernel
	};

	for (unsigned index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
		CHECK(STATUS_SIGNAL(status_of(bad[index])) == SIGSEGV);
}

static void shut_interrupts_out(void)
{
	__asm__ volatile("cli");
}

static void halt(void)
{
	__asm__ volatile("hlt");
}

static void write_port(void)
{
	__asm__ volatile("outb %%al, $0x80" : : "a"(0));
}

static void load_cr3(void)
{
	__asm__ volatile("movl %0, %%cr3" : : "r"(0));
}

static void call_gate_of_the_kernel(void)
{
	__asm__ volatile("int $14");
}

static void load_kernel_segment(void)
{
	__asm__ volatile("movl %0, %%ds" : : "r"(0x10));
}

static void privileged(void)
{
	void (*const bad[])(void) = {
		shut_interrupts_out, halt, write_port, load_cr3, call_gate_of_the_kernel, load_kernel_segment
	};

	for (unsigned index = 0; index < sizeof(bad) / sizeof(bad[0]); index++)
		CHECK(STATUS_SIGNAL(status_of(bad[index])) == SIGSEGV);
}

static void divide(void)
{
	__asm__ volatile("divl %0" : : "r"(0), "a"(1), "d"(0));
}

static void undefined(void)
{
	__asm__ volatile("ud2");
}

static void breakpoint(void)
{
	__asm__ volatile("int3");
}

static void exceptions(void)
{
	CHECK(STATUS_SIGNAL(status_of(divide)) == SIGFPE);
	CHECK(STATUS_SIGNAL(status_of(undefined)) == SIGILL);
	CHECK(STATUS_SIGNAL(status_of(breakpoint)) == SIGTRAP);
}

static void bad_arguments(void)
{
	char *kernel = (char *)KERNEL_ADDRESS, byte;

	CHECK(write(STANDARD_OUTPUT, kernel, 1) == -EFAULT);
	CHECK(write(STANDARD_OUTPUT, NULL, 1) == -EFAULT);
	CHECK(write(STANDARD_OUTPUT, &byte, 0xffffffff) == -EFAULT);
	CHECK(read(STANDARD_INPUT, (void *)main, 1) == -EFAULT);	/* read-only */
	CHECK(read(STANDARD_INPUT, kernel - 1, 2) == -EFAULT);
	CHECK(open(kernel, O_READ) == -EFAULT);
	CHECK(stat("/", (struct stat *)kernel) == -EFAULT);
	CHECK(pipe((int *)kernel) == -EFAULT);
	CHECK(waitpid(-1, (int *)kernel, 0) == -EFAULT);
}

static void unknown_call(void)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(1000) : "memory");
	CHECK(result == -ENOSYS);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(-1) : "memory");
	CHECK(result == -ENOSYS);
}

const struct test_case memory_tests[] = {
	{ "heap", heap },
	{ "behind the heap", heap_ends },
	{ "copy on write", copy_on_write },
	{ "copy on write by the kernel", copy_on_write_by_the_kernel },
	{ "memory runs out", memory_runs_out },
	{ "the stack grows, up to a limit", stack_grows },
	{ "bad addresses", bad_addresses },
	{ "privileged instructions", privileged },
	{ "exceptions", exceptions },
	{ "bad addresses in calls", bad_arguments },
	{ "unknown calls", unknown_call },
	{ NULL, NULL }
};
