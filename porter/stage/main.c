/* Which command is wanted, and the way to Python. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

char stage_directory[DIRECTORY_SIZE];

void fail(const char *what, const char *why)
{
	fprintf(stderr, "ring3: %s: %s\n", what, why);
	exit(2);
}

void become(const char *program, char **argv)
{
	execvp(program, argv);
	fprintf(stderr, "ring3: %s: %s: check that it is installed and on PATH\n", program, strerror(errno));
	exit(2);
}

static void find_directory(void)
{
	ssize_t size = readlink("/proc/self/exe", stage_directory, sizeof stage_directory - 64);

	if (size <= 0)
		fail("/proc/self/exe", "cannot be read: mount /proc");
	stage_directory[size] = 0;
	*strrchr(stage_directory, '/') = 0;
}

/*
 * Beside an installed program lies `ring3-python`, which pip wrote and which knows its interpreter. The program in
 * the package is run by Python itself, which says where it lies.
 */
void call_python(int argc, char **argv)
{
	static char importing[] = "import sys; sys.path.insert(0, sys.argv.pop(1)); from hypervisor.cli.main import main; "
				  "sys.exit(main())";
	char script[DIRECTORY_SIZE + 64], root[DIRECTORY_SIZE + 64];
	char **words = calloc(argc + 8, sizeof *words), *python = getenv("RING3_PYTHON");
	int count = 0;

	if (!words)
		fail("memory", strerror(errno));
	setenv("RING3_STAGE", stage_directory, 1);
	snprintf(script, sizeof script, "%s/ring3-python", stage_directory);
	if (!access(script, X_OK)) {
		words[count++] = script;
	} else if (python && *python) {
		snprintf(root, sizeof root, "%s/../..", stage_directory);
		words[count++] = python;
		words[count++] = "-P";		/* the build's directory has no modules of ours */
		words[count++] = "-c";
		words[count++] = importing;
		words[count++] = root;
	} else {
		fail(script, "not there: install ring3 again");
	}
	memcpy(words + count, argv, argc * sizeof *argv);
	become(words[0], words);
}

/* Whether the first argument of `ring3 as` is the assembler to use, as `ring3 cc` has it: no option and no source. */
static bool is_assembler(const char *word)
{
	const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;
	size_t size = strlen(name);

	return size >= 2 && !strcmp(name + size - 2, "as") && !strchr("-@", name[0]) && !strchr(name, '.') &&
	       (access(word, F_OK) || !access(word, X_OK));
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc ? argv[0] : "";
	char *command = argc > 1 ? argv[1] : "", **words = argv + 1;
	bool remembers;

	find_directory();
	/* As a word of its own, `ring3-cc` is `ring3 cc`. */
	if (!strncmp(name, "ring3-", 6) && name[6]) {
		command = strdup(name + 6);
		words = calloc(argc + 1, sizeof *words);
		words[0] = command;
		memcpy(words + 1, argv + 1, (argc - 1) * sizeof *argv);
		argc++;
	}
	argc--;
	if (!strcmp(command, "as") || !strcmp(command, "cc") || !strcmp(command, "c++")) {
		if (command[0] == 'a' && argc > 2 && is_assembler(words[1])) {
			setenv("RING3_AS", words[1], 1);
			words[1] = words[0];
			words++;
			argc--;
		}
		remembers = memory_load();
		if (remembers && command[0] == 'a')
			assemble(argc - 1, words + 1);
		if (remembers && command[0] == 'c')
			compile(argc - 1, words + 1, command[1] == 'c' ? "RING3_CC" : "RING3_CXX",
				command[1] == 'c' ? "C compilers" : "C++ compilers");
	}
	call_python(argc, words);
}
