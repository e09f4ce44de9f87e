/* Pipes and descriptors. */
#include "tests.h"

static void through_a_pipe(void)
{
	int ends[2];
	char bytes[16];

	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], "hello", 5) == 5);
	CHECK(read(ends[0], bytes, 3) == 3);
	CHECK(read(ends[0], bytes + 3, 16) == 2);
	CHECK(memory_equal(bytes, "hello", 5));
	CHECK(write(ends[0], "x", 1) == -EBADF);
	CHECK(read(ends[1], bytes, 1) == -EBADF);
	CHECK(seek(ends[0], 0, SEEK_SET) == -ESPIPE);
}

static void end_of_a_pipe(void)
{
	int ends[2], copy;
	char byte;

	CHECK(pipe(ends) == 0);
	copy = dup(ends[1]);
	close(ends[1]);
	CHECK(write(copy, "x", 1) == 1);
	close(copy);
	CHECK(read(ends[0], &byte, 1) == 1);
	CHECK(read(ends[0], &byte, 1) == 0);
}

/* More than fits: the writer must wait for the reader, and the other way round. */
static void large_transfer(void)
{
	enum { BYTES = 100000 };
	static unsigned char bytes[1777];
	int ends[2], pid, status, length;
	unsigned at = 0;

	CHECK(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		unsigned char *all = sbrk(BYTES);

		for (unsigned index = 0; index < BYTES; index++)
			all[index] = (unsigned char)(index * 7 % 251);
		CHECK(write(ends[1], all, BYTES) == BYTES);
		exit(0);
	}
	close(ends[1]);
	while ((length = read(ends[0], bytes, sizeof(bytes))) > 0)
		for (int index = 0; index < length; index++, at++)
			CHECK(bytes[index] == at * 7 % 251);
	CHECK(length == 0);
	CHECK(at == BYTES);
	CHECK(wait(&status) == pid && status == 0);
}

static void write_to_nobody(void)
{
	int ends[2];

	pipe(ends);
	close(ends[0]);
	write(ends[1], "x", 1);
}

static void no_reader(void)
{
	int ends[2];

	CHECK(STATUS_SIGNAL(status_of(write_to_nobody)) == SIGPIPE);
	signal(SIGPIPE, (signal_handler *)SIGNAL_IGNORE);
	CHECK(pipe(ends) == 0);
	close(ends[0]);
	CHECK(write(ends[1], "x", 1) == -EPIPE);
}

/* A writer that waits for room learns that the reader has gone. */
static void reader_goes(void)
{
	static char bytes[20000];
	int ends[2], pid, status;

	CHECK(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		write(ends[1], bytes, sizeof(bytes));
		exit(0);
	}
	sleep_ms(20);
	close(ends[0]);
	CHECK(wait(&status) == pid && STATUS_SIGNAL(status) == SIGPIPE);
}

static void duplicates_share(void)
{
	int file, copy;
	char bytes[4];

	write_file("file", "abcdef");
	file = open("file", O_READ);
	copy = dup(file);
	CHECK(copy == file + 1);
	CHECK(read(file, bytes, 3) == 3);
	CHECK(read(copy, bytes, 1) == 1 && bytes[0] == 'd');
	CHECK(dup2(file, 10) == 10);
	CHECK(read(10, bytes, 1) == 1 && bytes[0] == 'e');
	close(file);
	CHECK(read(copy, bytes, 1) == 1 && bytes[0] == 'f');
	CHECK(dup2(copy, copy) == copy);
	CHECK(read(copy, bytes, 1) == 0);
}

static void bad_descriptors(void)
{
	CHECK(close(9) == -EBADF);
	CHECK(close(-1) == -EBADF);
	CHECK(close(1000) == -EBADF);
	CHECK(dup(9) == -EBADF);
	CHECK(dup2(0, 1000) == -EBADF);
	CHECK(read(9, NULL, 0) == -EBADF);
	CHECK(open("/", 0) == -EINVAL);
}

static void descriptors_run_out(void)
{
	int opened, count = 0, ends[2];

	while ((opened = open("/", O_READ)) >= 0)
		count++;
	CHECK(opened == -EMFILE);
	CHECK(count == 13);
	CHECK(pipe(ends) == -EMFILE);
	CHECK(close(15) == 0);
	CHECK(pipe(ends) == -EMFILE);
	CHECK(open("/", O_READ) == 15);
}

/* tests | /bin/cat | /bin/wc */
static void pipeline(void)
{
	const char *const cat[] = { "/bin/cat", NULL }, *const wc[] = { "/bin/wc", NULL };
	int first[2], second[2], output = open("output", O_WRITE | O_CREATE);

	CHECK(output >= 0);
	CHECK(pipe(first) == 0 && pipe(second) == 0);
	if (fork() == 0) {
		dup2(first[0], STANDARD_INPUT);
		dup2(second[1], STANDARD_OUTPUT);
		for (int descriptor = 3; descriptor < 9; descriptor++)
			close(descriptor);
		exec(cat[0], cat);
	}
	if (fork() == 0) {
		dup2(second[0], STANDARD_INPUT);
		dup2(output, STANDARD_OUTPUT);
		for (int descriptor = 3; descriptor < 9; descriptor++)
			close(descriptor);
		exec(wc[0], wc);
	}
	for (int turn = 0; turn < 100; turn++)
		CHECK(write(first[1], "two words\n", 10) == 10);
	close(first[0]), close(first[1]), close(second[0]), close(second[1]);
	CHECK(wait(NULL) > 0 && wait(NULL) > 0);
	check_file("output", "    100     200    1000\n");
}

const struct test_case pipe_tests[] = {
	{ "through a pipe", through_a_pipe },
	{ "the end of a pipe", end_of_a_pipe },
	{ "more than a pipe holds", large_transfer },
	{ "a pipe without a reader", no_reader },
	{ "a pipe whose reader goes", reader_goes },
	{ "duplicates share their place", duplicates_share },
	{ "bad descriptors", bad_descriptors },
	{ "descriptors run out", descriptors_run_out },
	{ "a pipeline of programs", pipeline },
	{ NULL, NULL }
};
