/* The system's own tests: each case runs as a process of its own in the empty directory /tmp/tests. */
#ifndef TESTS_H
#define TESTS_H

#include "unix.h"

struct test_case {
	const char *name;
	void (*run)(void);
};

/* Each ends with a case that has no name. */
extern const struct test_case process_tests[], memory_tests[], signal_tests[], pipe_tests[], file_tests[],
	random_tests[];

_Noreturn void fail(const char *condition, const char *file, int line);
#define CHECK(condition) do { if (!(condition)) fail(#condition, __FILE__, __LINE__); } while (0)

/* tests.c: helpers. The status is waitpid()'s. */
int status_of(void (*run)(void));		/* of a process that runs this and then exits with 0 */
int status_of_program(const char *const *arguments);
void write_file(const char *path, const char *text);
void check_file(const char *path, const char *text);	/* its content is this */

#endif
