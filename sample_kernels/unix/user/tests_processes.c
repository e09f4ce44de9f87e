/* fork, exec, exit, waitpid, and who runs. */
#include "tests.h"

static void exit_7(void)
{
	exit(7);
}

static void spin(void)
{
	for (;;)
		;
}

static void exit_status(void)
{
	CHECK(status_of(exit_7) == 7 << 8);
}

static void fork_copies(void)
{
	volatile int value = 1;
	int pid = fork(), status;

	if (pid == 0) {
		value++;
		exit(value == 2 && getppid() > 1 ? 3 : 4);
	}
	CHECK(pid > 0);
	CHECK(wait(&status) == pid);
	CHECK(STATUS_EXITED(status) && STATUS_CODE(status) == 3);
	CHECK(value == 1);
}

static void wait_without_children(void)
{
	CHECK(wait(NULL) == -ECHILD);
	CHECK(waitpid(getpid(), NULL, 0) == -ECHILD);
	CHECK(waitpid(1, NULL, WAIT_NO_HANG) == -ECHILD);
}

static void wait_for_one(void)
{
	int first = fork(), second, status;

	if (first == 0)
		exit(1);
	second = fork();
	if (second == 0)
		exit(2);
	CHECK(waitpid(second, &status, 0) == second && STATUS_CODE(status) == 2);
	CHECK(waitpid(first, &status, 0) == first && STATUS_CODE(status) == 1);
	CHECK(waitpid(first, &status, 0) == -ECHILD);
}

static void wait_without_hanging(void)
{
	int pid = fork(), status;

	if (pid == 0)
		spin();
	CHECK(waitpid(pid, &status, WAIT_NO_HANG) == 0);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(!STATUS_EXITED(status) && STATUS_SIGNAL(status) == SIGKILL);
}

/* A process whose parent has ended is a child of the first process. */
static void orphans(void)
{
	int ends[2], parent = -1;

	CHECK(pipe(ends) == 0);
	if (fork() == 0) {
		if (fork() == 0) {
			while (getppid() != 1)
				sleep_ms(10);
			parent = getppid();
			write(ends[1], &parent, sizeof(parent));
		}
		exit(0);
	}
	CHECK(wait(NULL) > 0);
	CHECK(read(ends[0], &parent, sizeof(parent)) == sizeof(parent));
	CHECK(parent == 1);
}

static void exec_arguments(void)
{
	const char *const arguments[] = { "/bin/echo", "one", "", "two words", NULL };
	int output = open("output", O_WRITE | O_CREATE);

	CHECK(output >= 0);
	CHECK(dup2(output, STANDARD_OUTPUT) == STANDARD_OUTPUT);
	CHECK(status_of_program(arguments) == 0);
	dup2(STANDARD_ERROR, STANDARD_OUTPUT);
	check_file("output", "one  two words\n");
}

static void exec_fails(void)
{
	const char *const none[] = { NULL };
	const char *many[ARGUMENTS_MAX + 2];
	static char large[ARGUMENT_BYTES + 1];

	write_file("text", "this is no program, though it is long enough to have the header of one, were it one\n");
	for (int index = 0; index <= ARGUMENTS_MAX; index++)
		many[index] = "word";
	many[ARGUMENTS_MAX + 1] = NULL;
	CHECK(exec("missing", none) == -ENOENT);
	CHECK(exec("text", none) == -ENOEXEC);
	CHECK(exec("/bin", none) == -ENOEXEC);
	CHECK(exec("/bin/echo/no", none) == -ENOTDIR);
	CHECK(exec((const char *)0xc0000000, none) == -EFAULT);
	CHECK(exec("/bin/echo", (const char *const *)4) == -EFAULT);
	CHECK(exec("/bin/echo", many) == -E2BIG);
	memset(large, 'x', ARGUMENT_BYTES);
	CHECK(exec("/bin/echo", (const char *const[]){ "echo", large, NULL }) == -E2BIG);
}

/* Until there is no room; then it must work again. */
static void fork_until_full(void)
{
	int pid, children = 0, ended = 0;

	while ((pid = fork()) > 0)
		children++;
	if (pid == 0)
		for (;;)
			sleep_ms(1000);
	CHECK(pid == -EAGAIN);
	CHECK(children > 40);
	for (int index = 0; ; index++) {
		struct process_info info;
		int found = process_info(index, &info);

		if (found < 0)
			break;
		if (found && info.parent == getpid())
			kill(info.pid, SIGKILL);
	}
	while (wait(NULL) > 0)
		ended++;
	CHECK(ended == children);
	CHECK(status_of(exit_7) == 7 << 8);
}

/* Processes that make no call share the processor all the same. */
static void preemption(void)
{
	int spinner = fork(), pids[3], status;

	if (spinner == 0)
		spin();
	for (int index = 0; index < 3; index++)
		if ((pids[index] = fork()) == 0) {
			unsigned sum = 0;

			for (unsigned turn = 0; turn < 5000000; turn++)
				sum = sum * 5 + turn;
			exit(sum == 4150539360u ? 40 + index : 1);
		}
	for (int index = 0; index < 3; index++)
		CHECK(waitpid(pids[index], &status, 0) == pids[index] && STATUS_CODE(status) == 40 + index);
	CHECK(waitpid(spinner, NULL, WAIT_NO_HANG) == 0);
	kill(spinner, SIGKILL);
}

/* All registers and flags, through many interrupts. */
static void registers_survive(void)
{
	unsigned start = uptime_ms(), bad = 0;

	while (uptime_ms() - start < 60 && !bad)
		__asm__ volatile(
			"pushl %%ebp\n\t"
			"movl $0x11111111, %%eax; movl $0x22222222, %%ebx; movl $100000, %%ecx\n\t"
			"movl $0x33333333, %%edx; movl $0x44444444, %%esi; movl $0x55555555, %%edi\n\t"
			"movl $0x66666666, %%ebp\n\t"
			"std; stc\n"
			"1:\n\t"
			"jnc 2f\n\t"
			"leal -1(%%ecx), %%ecx\n\t"		/* changes no flag, */
			"jecxz 2f\n\t"				/* nor does this */
			"jmp 1b\n"
			"2:\n\t"
			"pushfl\n\t"
			"cld\n\t"
			"cmpl $0x11111111, %%eax; jne 3f; cmpl $0x22222222, %%ebx; jne 3f; testl %%ecx, %%ecx; jne 3f\n\t"
			"cmpl $0x33333333, %%edx; jne 3f; cmpl $0x44444444, %%esi; jne 3f\n\t"
			"cmpl $0x55555555, %%edi; jne 3f; cmpl $0x66666666, %%ebp; jne 3f\n\t"
			"popl %%eax\n\t"
			"andl $0x401, %%eax\n\t"		/* DF and CF */
			"xorl $0x401, %%eax\n\t"
			"jmp 4f\n"
			"3:\n\t"
			"popl %%eax\n\t"
			"movl $-1, %%eax\n"
			"4:\n\t"
			"popl %%ebp"
			: "=a"(bad) : : "ebx", "ecx", "edx", "esi", "edi", "memory", "cc");
	CHECK(bad == 0);
}

static void sleeping(void)
{
	unsigned start = uptime_ms();

	CHECK(sleep_ms(50) == 0);
	CHECK(uptime_ms() - start >= 50);
	CHECK(sleep_ms(0) == 0);
}

static void information(void)
{
	struct process_info info = { 0 };

	for (int index = 0; info.pid != getpid(); index++)
		CHECK(process_info(index, &info) >= 0);
	CHECK(info.parent == getppid());
	CHECK(info.state == 'R');
	CHECK(info.pages > 4);
	CHECK(string_equal(info.name, "tests"));
	CHECK(process_info(-1, &info) == -EINVAL);
}

static void only_the_first_turns_off(void)
{
	CHECK(power_off() == -EPERM);
}

const struct test_case process_tests[] = {
	{ "exit status", exit_status },
	{ "fork copies", fork_copies },
	{ "wait without children", wait_without_children },
	{ "wait for one of two", wait_for_one },
	{ "wait without hanging", wait_without_hanging },
	{ "orphans", orphans },
	{ "exec with arguments", exec_arguments },
	{ "exec fails and the program goes on", exec_fails },
	{ "fork until there is no room", fork_until_full },
	{ "preemption", preemption },
	{ "registers and flags survive interrupts", registers_survive },
	{ "sleep", sleeping },
	{ "process information", information },
	{ "only the first process turns the machine off", only_the_first_turns_off },
	{ NULL, NULL }
};
