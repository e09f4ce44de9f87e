/* tests [NAME]: all cases, or those with the text in their names. A line for each, and ALL PASSED if they did. */
#include "tests.h"

#define PATIENCE_MS 20000		/* for one case; SIGALRM ends it */

void fail(const char *condition, const char *file, int line)
{
	print("  %s:%d: not so: %s\n", file, line, condition);
	exit(1);
}

int status_of(void (*run)(void))
{
	int status = -1, pid = fork();

	if (pid == 0) {
		run();
		exit(0);
	}
	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

int status_of_program(const char *const *arguments)
{
	int status = -1, pid = fork();

	if (pid == 0) {
		exec(arguments[0], arguments);
		exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

void write_file(const char *path, const char *text)
{
	int descriptor = open(path, O_WRITE | O_CREATE | O_TRUNCATE), length = (int)string_length(text);

	CHECK(descriptor >= 0);
	CHECK(write(descriptor, text, (unsigned)length) == length);
	CHECK(close(descriptor) == 0);
}

void check_file(const char *path, const char *text)
{
	int descriptor = open(path, O_READ), length = (int)string_length(text);
	char content[256];

	CHECK(descriptor >= 0);
	CHECK(read(descriptor, content, sizeof(content)) == length);
	CHECK(memory_equal(content, text, (size_t)length));
	CHECK(close(descriptor) == 0);
}

static const struct test_case *running;

static void run_case(void)
{
	alarm_ms(PATIENCE_MS);
	running->run();
}

/* Remove everything in the current directory. */
static void clean(void)
{
	struct directory_entry entry;
	int directory = open(".", O_READ);

	while (read(directory, &entry, sizeof(entry)) == sizeof(entry)) {
		if (!entry.inode || string_equal(entry.name, ".") || string_equal(entry.name, ".."))
			continue;
		if (unlink(entry.name) == -ENOTEMPTY && chdir(entry.name) == 0) {
			clean();
			chdir("..");
			unlink(entry.name);
		}
	}
	close(directory);
}

static int run(const struct test_case *cases, const char *wanted)
{
	int failed = 0;

	for (running = cases; running->name; running++) {
		int status;

		if (!string_find(running->name, wanted))
			continue;
		status = status_of(run_case);
		failed += status != 0;
		if (STATUS_SIGNAL(status))
			print("  killed by signal %d\n", STATUS_SIGNAL(status));
		print("%s %s\n", status ? "FAILED" : "ok", running->name);
		clean();
	}
	return failed;
}

int main(int count, char **arguments)
{
	const char *wanted = count > 1 ? arguments[1] : "";
	int failed = 0, error = mkdir("/tmp/tests");

	if (error && error != -EEXIST)
		return complain("tests", "/tmp/tests", error);
	CHECK(chdir("/tmp/tests") == 0);
	failed += run(process_tests, wanted);
	failed += run(memory_tests, wanted);
	failed += run(signal_tests, wanted);
	failed += run(pipe_tests, wanted);
	failed += run(file_tests, wanted);
	failed += run(random_tests, wanted);
	CHECK(chdir("/") == 0);
	CHECK(unlink("/tmp/tests") == 0);
	if (failed)
		print("%d FAILED\n", failed);
	else
		print("ALL PASSED\n");
	return failed != 0;
}
