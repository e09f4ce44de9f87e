/* Calls by the thousand, with arguments that make sense or do not. Nothing is expected of any one: the system must be there
 * afterwards, as it was before (fs.py check tells of the disk). */
#include "tests.h"

#define ROUNDS 20
#define CALLS 300
#define PATIENCE_MS 100			/* for one round, which may wait for what never comes */

static uint32_t state;

static uint32_t random_below(uint32_t limit)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % limit;
}

static char memory[8192];

/* A path that leads nowhere out of the directory that the tests have. */
static const char *some_path(void)
{
	static const char *const paths[] = {
		"a", "b", "c", "a/b", "a/b/c", "b/a", "a/.", "./b", "c/c", "", ".", "a//b/", "a/very/long/path",
		"a name that is longer than the names of files may be", NULL, (const char *)0xc0000000,
		(const char *)0xbfffffff, (const char *)4,
	};

	return paths[random_below(sizeof(paths) / sizeof(paths[0]))];
}

static void *some_memory(void)
{
	switch (random_below(8)) {
	case 0:
		return NULL;
	case 1:
		return (void *)(0xbfffff00 + random_below(1024));
	case 2:
		return (void *)some_memory;	/* read-only */
	case 3:
		return (char *)sbrk(0) - random_below(64);
	default:
		return memory + random_below(sizeof(memory) / 2);
	}
}

static int some_descriptor(void)
{
	return (int)random_below(18) - 1;
}

static unsigned some_length(void)
{
	return random_below(20) ? random_below(4096) : state;
}

static void some_call(void)
{
	switch (random_below(20)) {
	case 0: case 1: case 2:
		open(some_path(), (int)random_below(64));
		break;
	case 3:
		close(some_descriptor());
		break;
	case 4: case 5: case 6:
		read(some_descriptor(), some_memory(), some_length());
		break;
	case 7: case 8: case 9:
		write(some_descriptor(), some_memory(), some_length());
		break;
	case 10:
		seek(some_descriptor(), (int)random_below(2000000) - 1000, (int)random_below(4));
		break;
	case 11:
		random_below(2) ? dup(some_descriptor()) : dup2(some_descriptor(), some_descriptor());
		break;
	case 12:
		pipe(some_memory());
		break;
	case 13:
		random_below(2) ? stat(some_path(), some_memory()) : fstat(some_descriptor(), some_memory());
		break;
	case 14:
		link(some_path(), some_path());
		break;
	case 15:
		unlink(some_path());
		break;
	case 16:
		mkdir(some_path());
		break;
	case 17:
		random_below(4) ? exec(some_path(), some_memory()) : chdir(some_path());
		break;
	case 18:
		sbrk((int)random_below(40000) - 20000);
		break;
	default:
		if (random_below(16) == 0 && fork() == 0) {
			alarm_ms(PATIENCE_MS);
			state ^= 0x5a5a5a5a;
		}
		waitpid(some_descriptor(), some_memory(), WAIT_NO_HANG);
	}
}

static void round_of_calls(void)
{
	int null = open("/dev/null", O_READ | O_WRITE);

	for (int descriptor = STANDARD_INPUT; descriptor <= STANDARD_ERROR; descriptor++)
		dup2(null, descriptor);
	alarm_ms(PATIENCE_MS);
	for (int call = 0; call < CALLS; call++)
		some_call();
}

static void random_calls(void)
{
	for (uint32_t turn = 0; turn < ROUNDS; turn++) {
		state = turn * 2654435761u;
		status_of(round_of_calls);
	}
	write_file("after", "still there");
	check_file("after", "still there");
}

const struct test_case random_tests[] = {
	{ "random calls", random_calls },
	{ NULL, NULL }
};
