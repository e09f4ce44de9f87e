/* The file system. */
#include "tests.h"

static unsigned links_of(const char *path)
{
	struct stat about;

	CHECK(stat(path, &about) == 0);
	return about.links;
}

static void write_and_read(void)
{
	struct stat about;

	CHECK(open("file", O_READ) == -ENOENT);
	write_file("file", "some text");
	check_file("file", "some text");
	CHECK(stat("file", &about) == 0);
	CHECK(about.type == TYPE_FILE && about.size == 9 && about.links == 1);
	write_file("file", "less");
	check_file("file", "less");
	CHECK(open("file", O_WRITE | O_CREATE | O_EXCLUSIVE) == -EEXIST);
	CHECK(unlink("file") == 0);
	CHECK(stat("file", &about) == -ENOENT);
}

static void append(void)
{
	int one = open("file", O_WRITE | O_CREATE | O_APPEND), other = open("file", O_WRITE | O_APPEND);

	CHECK(write(one, "one ", 4) == 4);
	CHECK(write(other, "two ", 4) == 4);
	CHECK(write(one, "three", 5) == 5);
	check_file("file", "one two three");
}

static void places(void)
{
	int file = open("file", O_READ | O_WRITE | O_CREATE);
	char bytes[8];

	CHECK(write(file, "0123456789", 10) == 10);
	CHECK(seek(file, 2, SEEK_SET) == 2);
	CHECK(read(file, bytes, 1) == 1 && bytes[0] == '2');
	CHECK(seek(file, 3, SEEK_CURRENT) == 6);
	CHECK(write(file, "x", 1) == 1);
	CHECK(seek(file, -1, SEEK_END) == 9);
	CHECK(seek(file, -11, SEEK_END) == -EINVAL);
	CHECK(seek(file, 0, 3) == -EINVAL);
	CHECK(read(file, bytes, 8) == 1 && bytes[0] == '9');
	CHECK(read(file, bytes, 8) == 0);
	check_file("file", "012345x789");
}

/* Through direct, indirect and doubly indirect blocks, with holes between. */
static void holes(void)
{
	static const int at[] = { 0, 5 * FS_BLOCK - 3, 12 * FS_BLOCK - 2, 268 * FS_BLOCK - 4, 700 * FS_BLOCK + 1 };
	int file = open("file", O_READ | O_WRITE | O_CREATE);
	struct stat about;
	char bytes[8];

	for (unsigned index = 0; index < 5; index++) {
		CHECK(seek(file, at[index], SEEK_SET) == at[index]);
		CHECK(write(file, "marked", 6) == 6);
	}
	for (unsigned index = 0; index < 5; index++) {
		CHECK(seek(file, at[index], SEEK_SET) == at[index]);
		CHECK(read(file, bytes, 6) == 6 && memory_equal(bytes, "marked", 6));
	}
	CHECK(seek(file, 300 * FS_BLOCK - 4, SEEK_SET) > 0);
	CHECK(read(file, bytes, 8) == 8 && memory_equal(bytes, "\0\0\0\0\0\0\0\0", 8));
	CHECK(fstat(file, &about) == 0 && about.size == 700 * FS_BLOCK + 7);
	CHECK(seek(file, 0x7ffffff0, SEEK_SET) > 0);
	CHECK(write(file, bytes, 8) == -EFBIG);
}

static void large_file(void)
{
	enum { BYTES = 600000 };
	unsigned *words = sbrk(BYTES);
	int file = open("file", O_READ | O_WRITE | O_CREATE);

	for (unsigned index = 0; index < BYTES / 4; index++)
		words[index] = index * 2654435761u;
	CHECK(write(file, words, BYTES) == BYTES);
	memset(words, 0, BYTES);
	CHECK(seek(file, 0, SEEK_SET) == 0);
	CHECK(read(file, words, BYTES) == BYTES);
	for (unsigned index = 0; index < BYTES / 4; index++)
		CHECK(words[index] == index * 2654435761u);
}

static void links(void)
{
	write_file("file", "text");
	CHECK(link("file", "other") == 0);
	CHECK(links_of("file") == 2);
	CHECK(link("file", "other") == -EEXIST);
	CHECK(link("missing", "new") == -ENOENT);
	CHECK(link("/tmp", "new") == -EISDIR);
	CHECK(unlink("file") == 0);
	check_file("other", "text");
	CHECK(links_of("other") == 1);
}

/* A file without a name is there as long as somebody has it open. */
static void unlinked(void)
{
	int file = open("file", O_READ | O_WRITE | O_CREATE);
	struct stat about;
	char bytes[8];

	CHECK(unlink("file") == 0);
	CHECK(write(file, "text", 4) == 4);
	CHECK(seek(file, 0, SEEK_SET) == 0);
	CHECK(read(file, bytes, 8) == 4 && memory_equal(bytes, "text", 4));
	CHECK(fstat(file, &about) == 0 && about.links == 0);
}

static void directories(void)
{
	unsigned before = links_of(".");

	CHECK(mkdir("one") == 0);
	CHECK(links_of(".") == before + 1);
	CHECK(mkdir("one") == -EEXIST);
	CHECK(mkdir("one/two") == 0);
	write_file("one/two/file", "text");
	check_file("one/../one/./two//file", "text");
	CHECK(unlink("one/two") == -ENOTEMPTY);
	CHECK(chdir("one/two") == 0);
	check_file("file", "text");
	check_file("../two/file", "text");
	CHECK(unlink("file") == 0);
	CHECK(chdir("../..") == 0);
	CHECK(unlink("one/two") == 0);
	CHECK(unlink("one/.") == -EINVAL);
	CHECK(unlink("one/..") == -EINVAL);
	CHECK(unlink("one") == 0);
	CHECK(links_of(".") == before);
	CHECK(unlink("/") == -EINVAL);
	CHECK(chdir("/../..") == 0);
	CHECK(links_of("tmp") >= 2);
}

static void removed_directory(void)
{
	CHECK(mkdir("gone") == 0);
	CHECK(chdir("gone") == 0);
	CHECK(unlink("../gone") == 0);
	CHECK(open("file", O_WRITE | O_CREATE) == -ENOENT);
	CHECK(mkdir("more") == -ENOENT);
	CHECK(chdir("..") == -ENOENT);
}

static void bad_names(void)
{
	char name[PATH_MAX + 1];

	write_file("file", "text");
	CHECK(open("file/more", O_READ) == -ENOTDIR);
	CHECK(chdir("file") == -ENOTDIR);
	CHECK(open("/tmp", O_WRITE) == -EISDIR);
	CHECK(open("missing/file", O_WRITE | O_CREATE) == -ENOENT);
	CHECK(open("", O_READ) == -ENOENT);
	CHECK(mkdir("") == -ENOENT);
	memset(name, 'n', sizeof(name));
	name[NAME_BYTES] = 0;
	CHECK(open(name, O_WRITE | O_CREATE) == -ENAMETOOLONG);
	name[NAME_BYTES - 1] = 0;
	write_file(name, "longest");
	check_file(name, "longest");
	name[NAME_BYTES - 1] = 'n';
	memset(name, '/', PATH_MAX);
	name[PATH_MAX] = 0;
	CHECK(open(name, O_READ) == -ENAMETOOLONG);
	name[PATH_MAX - 1] = 0;
	CHECK(open(name, O_READ) >= 0);
}

static void name_file(char name[8], int number)
{
	string_copy(name, "fileXY", 8);
	name[4] = (char)('A' + number / 26);
	name[5] = (char)('A' + number % 26);
}

static void many_files(void)
{
	struct directory_entry entry;
	int directory, found = 0;
	char name[8];

	for (int number = 0; number < 100; number++) {
		name_file(name, number);
		write_file(name, name);
	}
	for (int number = 0; number < 100; number += 2) {
		name_file(name, number);
		CHECK(unlink(name) == 0);
	}
	for (int number = 1; number < 100; number += 2) {
		name_file(name, number);
		check_file(name, name);
	}
	directory = open(".", O_READ);
	while (read(directory, &entry, sizeof(entry)) == sizeof(entry))
		found += entry.inode != 0;
	CHECK(found == 52);
}

/* Several processes at once, each with files of its own and one that all append to. */
static void at_once(void)
{
	enum { WRITERS = 4, TURNS = 20 };
	struct stat about;
	int status;

	for (int writer = 0; writer < WRITERS; writer++)
		if (fork() == 0) {
			int shared = open("shared", O_WRITE | O_CREATE | O_APPEND);

			CHECK(shared >= 0);
			for (int turn = 0; turn < TURNS; turn++) {
				char name[8];

				name_file(name, writer * TURNS + turn);
				write_file(name, name);
				CHECK(write(shared, name, 6) == 6);
				check_file(name, name);
				CHECK(unlink(name) == 0);
			}
			exit(0);
		}
	for (int writer = 0; writer < WRITERS; writer++)
		CHECK(wait(&status) > 0 && status == 0);
	CHECK(stat("shared", &about) == 0 && about.size == WRITERS * TURNS * 6);
}

/* More files open in the system than it has room for, each another one. */
static void open_many(void)
{
	char name[8] = "fileXYZ", byte;
	int ends[2], ready[2], error = 0;

	CHECK(pipe(ends) == 0 && pipe(ready) == 0);
	for (int process = 0; process < 16; process++)
		if (fork() == 0) {
			close(ends[1]);
			for (int number = 0; number < 9; number++) {
				name[4] = (char)('a' + process);
				name[5] = (char)('a' + number);
				error = open(name, O_WRITE | O_CREATE);
				if (error < 0)
					break;
			}
			write(ready[1], "", 1);
			read(ends[0], &byte, 1);	/* all are there until the parent lets go */
			exit(error == -ENFILE ? 1 : error < 0 ? 2 : 0);
		}
	for (int process = 0; process < 16; process++)
		CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(close(ends[1]) == 0);
	for (int status, full = 0, ended = 0; ended < 16; ended++) {
		CHECK(wait(&status) > 0 && STATUS_EXITED(status) && STATUS_CODE(status) < 2);
		full += STATUS_CODE(status);
		CHECK(ended < 15 || full > 0);
	}
	write_file("file", "room again");
}

static void devices(void)
{
	int null = open("/dev/null", O_READ | O_WRITE);
	struct stat about;
	char byte;

	CHECK(write(null, "gone", 4) == 4);
	CHECK(read(null, &byte, 1) == 0);
	CHECK(fstat(STANDARD_OUTPUT, &about) == 0 && about.type == TYPE_DEVICE);
	CHECK(stat("/dev/console", &about) == 0 && about.type == TYPE_DEVICE);
}

static void full_disk(void)
{
	static char bytes[8192];
	int file = open("file", O_WRITE | O_CREATE), written;
	unsigned total = 0;

	while ((written = write(file, bytes, sizeof(bytes))) > 0)
		total += (unsigned)written;
	CHECK(written == -ENOSPC);
	CHECK(total > 1000000);
	CHECK(mkdir("no") == -ENOSPC);
	close(file);
	CHECK(unlink("file") == 0);
	write_file("file", "room again");
	check_file("file", "room again");
}

const struct test_case file_tests[] = {
	{ "write and read", write_and_read },
	{ "append", append },
	{ "places in a file", places },
	{ "files with holes", holes },
	{ "a large file", large_file },
	{ "links", links },
	{ "open and without a name", unlinked },
	{ "directories", directories },
	{ "a directory removed while in it", removed_directory },
	{ "bad names", bad_names },
	{ "many files", many_files },
	{ "several processes at once", at_once },
	{ "more open files than there is room for", open_many },
	{ "devices", devices },
	{ "a full disk", full_disk },
	{ NULL, NULL }
};
