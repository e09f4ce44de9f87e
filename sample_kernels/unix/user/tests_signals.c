/* Signals: handlers, masks, and what comes from where. */
#include "tests.h"

#define BIT(number) (1u << (number))

static volatile int count, last;

static void on_signal(int number)
{
	count++;
	last = number;
}

static void handler_runs(void)
{
	CHECK(signal(SIGUSR1, on_signal) == (signal_handler *)SIGNAL_DEFAULT);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(count == 1 && last == SIGUSR1);
	CHECK(kill(getpid(), SIGUSR1) == 0);
	CHECK(count == 2);
	CHECK(signal(SIGUSR1, (signal_handler *)SIGNAL_DEFAULT) == on_signal);
}

static void mask_holds(void)
{
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	CHECK(signal_mask(BIT(SIGUSR1)) == 0);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	CHECK(count == 0);
	kill(getpid(), SIGUSR2);
	CHECK(count == 1 && last == SIGUSR2);
	CHECK(signal_mask(0) == BIT(SIGUSR1));
	CHECK(count == 2 && last == SIGUSR1);	/* pending once, however often it was sent */
}

static volatile int inner_depth, deepest;

/* SIGUSR1's handler is interrupted by SIGUSR2's. */
static void nest(int number)
{
	inner_depth++;
	if (inner_depth > deepest)
		deepest = inner_depth;
	if (number == SIGUSR1)
		kill(getpid(), SIGUSR2);
	count++;
	inner_depth--;
}

static void handlers_nest(void)
{
	signal(SIGUSR1, nest);
	signal(SIGUSR2, nest);
	kill(getpid(), SIGUSR1);
	CHECK(deepest == 2);
	CHECK(count == 2);
}

static void one_at_a_time(int number)
{
	(void)number;
	inner_depth++;
	if (inner_depth > deepest)
		deepest = inner_depth;
	if (count++ < 3)
		kill(getpid(), SIGUSR1);	/* comes when the handler has returned */
	inner_depth--;
}

static void masked_in_its_handler(void)
{
	signal(SIGUSR1, one_at_a_time);
	kill(getpid(), SIGUSR1);
	CHECK(count == 4);
	CHECK(deepest == 1);
}

/* A handler changes no register of what it interrupts. */
static void registers_kept(void)
{
	int pid = fork(), result;
	unsigned sum = 0, expected = 0;

	signal(SIGUSR1, on_signal);
	if (pid == 0) {
		for (;;) {
			kill(getppid(), SIGUSR1);
			sleep_ms(10);
		}
	}
	for (unsigned turn = 0; turn < 1000; turn++)
		expected = expected * 31 + turn;
	for (int repeat = 0; count < 5; repeat++) {
		sum = 0;
		for (unsigned turn = 0; turn < 1000; turn++)
			sum = sum * 31 + turn;
		CHECK(sum == expected);
	}
	kill(pid, SIGKILL);
	while ((result = waitpid(pid, NULL, 0)) == -EINTR)
		;
	CHECK(result == pid);
}

static void default_kills(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGPIPE, SIGSEGV };

	for (unsigned index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++) {
		int pid = fork(), status;

		if (pid == 0)
			for (;;)
				sleep_ms(1000);
		CHECK(kill(pid, numbers[index]) == 0);
		CHECK(waitpid(pid, &status, 0) == pid && STATUS_SIGNAL(status) == numbers[index]);
	}
}

static void kill_cannot_be_caught(void)
{
	int pid, status;

	CHECK((int)signal(SIGKILL, on_signal) == -EINVAL);
	CHECK((int)signal(0, on_signal) == -EINVAL);
	CHECK((int)signal(SIGNALS, on_signal) == -EINVAL);
	pid = fork();
	if (pid == 0) {
		signal_mask(0xffffffff);
		for (;;)
			;
	}
	sleep_ms(20);
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && STATUS_SIGNAL(status) == SIGKILL);
}

static void nobody_there(void)
{
	CHECK(kill(30000, SIGUSR1) == -ESRCH);
	CHECK(kill(getpid(), SIGNALS) == -EINVAL);
	CHECK(kill(getpid(), 0) == 0);
}

static void first_process_survives(void)
{
	CHECK(kill(1, SIGKILL) == 0);
	CHECK(kill(1, SIGUSR1) == 0);
	sleep_ms(20);
	CHECK(kill(1, 0) == 0);
}

static void ignored(void)
{
	signal(SIGUSR1, (signal_handler *)SIGNAL_IGNORE);
	kill(getpid(), SIGUSR1);
	signal(SIGUSR1, on_signal);
	CHECK(count == 0);
}

static void child_ends(void)
{
	int pid;

	signal(SIGCHLD, on_signal);
	signal_mask(BIT(SIGCHLD));
	pid = fork();
	if (pid == 0)
		exit(0);
	CHECK(signal_wait(0) == -EINTR);
	CHECK(count == 1 && last == SIGCHLD);
	CHECK(signal_mask(0) == BIT(SIGCHLD));	/* what it was before the wait */
	CHECK(wait(NULL) == pid);
}

static void alarm_rings(void)
{
	unsigned start = uptime_ms();

	signal(SIGALRM, on_signal);
	signal_mask(BIT(SIGALRM));
	alarm_ms(50);
	signal_wait(0);
	CHECK(count == 1 && last == SIGALRM);
	CHECK(uptime_ms() - start >= 50);
	alarm_ms(100);
	alarm_ms(0);
	signal_mask(0);
	sleep_ms(120);
	CHECK(count == 1);
}

/* In code that makes no call. */
static void alarm_interrupts_computing(void)
{
	signal(SIGALRM, on_signal);
	alarm_ms(30);
	while (!count)
		;
	CHECK(last == SIGALRM);
}

static void calls_are_interrupted(void)
{
	int ends[2];
	char byte;

	CHECK(pipe(ends) == 0);
	signal(SIGALRM, on_signal);
	alarm_ms(100);			/* long enough to be there before it rings */
	CHECK(read(ends[0], &byte, 1) == -EINTR);
	alarm_ms(100);
	CHECK(sleep_ms(10000) == -EINTR);
	CHECK(count == 2);
}

static char *wanted;

/* Make the page that is missing: what faulted is tried again. */
static void on_fault(int number)
{
	count++;
	last = number;
	sbrk(4096 * 3);
}

static void fault_is_repaired(void)
{
	signal(SIGSEGV, on_fault);
	wanted = (char *)sbrk(0) + 4096 * 2;
	*(volatile char *)wanted = 7;
	CHECK(count == 1 && last == SIGSEGV);
	CHECK(*wanted == 7);
}

static volatile int *nowhere;

static void fault(void)
{
	*nowhere = 0;
}

static void on_fault_fault(int number)
{
	(void)number;
	fault();
}

static void catch_and_fault(void)
{
	signal(SIGSEGV, on_fault_fault);
	fault();
}

static void ignore_and_fault(void)
{
	signal(SIGSEGV, (signal_handler *)SIGNAL_IGNORE);
	fault();
}

static void lose_stack(void)
{
	signal(SIGUSR1, on_signal);
	__asm__ volatile(
		"movl $8, %%esp\n\t"		/* no stack for the handler */
		"int $0x80\n"
		"1:\n\t"
		"jmp 1b" : : "a"(6), "b"(getpid()), "c"(SIGUSR1) : "memory");	/* kill */
}

static void faults_that_kill(void)
{
	CHECK(STATUS_SIGNAL(status_of(catch_and_fault)) == SIGSEGV);
	CHECK(STATUS_SIGNAL(status_of(ignore_and_fault)) == SIGSEGV);
	CHECK(STATUS_SIGNAL(status_of(lose_stack)) == SIGSEGV);
}

/* What a new program inherits: ignored signals stay so, handlers do not. Tried with a shell, which kills itself. */
static void over_exec(void)
{
	const char *const arguments[] = { "/bin/sh", "script", NULL };
	char script[64] = "kill -10 00\n";
	int status, pid;

	for (int ignore = 0; ignore < 2; ignore++) {
		signal(SIGUSR1, ignore ? (signal_handler *)SIGNAL_IGNORE : on_signal);
		pid = fork();
		if (pid == 0) {
			int own = getpid(), at = 9;

			if (own >= 100)
				script[at++] = (char)('0' + own / 100 % 10);
			script[at++] = (char)('0' + own / 10 % 10);
			script[at++] = (char)('0' + own % 10);
			string_copy(script + at, "\nexit 5\n", 16);
			write_file("script", script);
			exec(arguments[0], arguments);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(ignore ? STATUS_CODE(status) == 5 : STATUS_SIGNAL(status) == SIGUSR1);
	}
}

const struct test_case signal_tests[] = {
	{ "a handler runs", handler_runs },
	{ "a mask holds signals back", mask_holds },
	{ "handlers nest", handlers_nest },
	{ "a signal is masked in its handler", masked_in_its_handler },
	{ "handlers keep registers", registers_kept },
	{ "signals kill", default_kills },
	{ "SIGKILL cannot be caught", kill_cannot_be_caught },
	{ "nobody to signal", nobody_there },
	{ "the first process survives", first_process_survives },
	{ "ignored signals", ignored },
	{ "SIGCHLD", child_ends },
	{ "SIGALRM", alarm_rings },
	{ "SIGALRM while computing", alarm_interrupts_computing },
	{ "calls are interrupted", calls_are_interrupted },
	{ "SIGSEGV repaired by its handler", fault_is_repaired },
	{ "faults that kill", faults_that_kill },
	{ "signals over exec", over_exec },
	{ NULL, NULL }
};
