/* The host's side of the benchmark: prints "NAME OPERATIONS CYCLES" lines like guest/micro.c; with the name of a
 * file, how fast that is read. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "compute.h"

#define SYSTEM_CALLS 200000u
#define ROUND_TRIPS 5000u
#define COMPUTE_ROUNDS 3
#define READ_ROUNDS 3

static void report(const char *name, uint32_t operations, uint64_t cycles)
{
	printf("%s %u %llu\n", name, operations, (unsigned long long)cycles);
}

static void wait_turn(volatile uint32_t *word)
{
	while (!*word)
		syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
	*word = 0;
}

static void give_turn(volatile uint32_t *word)
{
	*word = 1;
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Two processes on one CPU hand over to each other and back. */
static void futex_round_trips(void)
{
	volatile uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();

	if (child == 0) {
		for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
			wait_turn(&words[0]);
			give_turn(&words[16]);
		}
		_exit(0);
	}
	uint64_t start = read_tsc();

	for (uint32_t i = 0; i < ROUND_TRIPS; i++) {
		give_turn(&words[0]);
		wait_turn(&words[16]);
	}
	report("futex", ROUND_TRIPS, read_tsc() - start);
	waitpid(child, NULL, 0);
}

static void tsc_frequency(void)
{
	struct timespec from, to;
	uint64_t start = read_tsc();

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &to);
	while ((to.tv_sec - from.tv_sec) * 1000000000ll + to.tv_nsec - from.tv_nsec < 50000000);
	uint64_t ns = (uint64_t)((to.tv_sec - from.tv_sec) * 1000000000ll + to.tv_nsec - from.tv_nsec);

	report("tsc", (uint32_t)ns, read_tsc() - start);
}

/* As bench/disk/disk.c reads: in pieces, into a buffer that is larger than caches. */
static void read_file(const char *name)
{
	enum { PIECE = 128 << 10, BUFFER = 16 << 20 };
	char *buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int round = 0; round < READ_ROUNDS; round++) {
		int file = open(name, O_RDONLY);
		uint64_t start = read_tsc(), done = 0;
		ssize_t got;

		while ((got = read(file, buffer + done % BUFFER, PIECE)) > 0)
			done += (uint64_t)got;
		report("read", (uint32_t)done, read_tsc() - start);
		close(file);
	}
}

int main(int count, char **arguments)
{
	tsc_frequency();
	if (count > 1) {
		read_file(arguments[1]);
		return 0;
	}
	for (uint32_t i = 0; i < SYSTEM_CALLS / 10; i++)
		syscall(SYS_getppid);
	uint64_t start = read_tsc();

	for (uint32_t i = 0; i < SYSTEM_CALLS; i++)
		syscall(SYS_getppid);
	report("getppid", SYSTEM_CALLS, read_tsc() - start);
	futex_round_trips();
	for (int round = 0; round < COMPUTE_ROUNDS; round++) {
		start = read_tsc();
		compute(COMPUTE_STEPS);
		report("compute", COMPUTE_STEPS, read_tsc() - start);
	}
	return 0;
}
