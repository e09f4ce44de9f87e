/*
 * `ring3 cc`: become the compiler, with -B, so that it finds `ring3-as` beside this program in place of its own
 * assembler, whose name goes along in the environment. Which that is, and what else the compiler must be told,
 * the porter found out.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static bool is_input(const char *word)
{
	const char *dot = strrchr(word, '.');

	return dot && listed("input suffixes", as_text(dot));
}

/*
 * The compiler: the first word, or where that is none, the variable's or the first that there is. The key begins with
 * its path, which is `path` characters long.
 */
static char *choose(int *argc, char ***argv, const char *variable, const char *defaults, char *key, size_t size,
		    int *path)
{
	static char name[256];
	struct text word = { 0 };
	char *given = getenv(variable);

	if (*argc && (*argv)[0][0] != '-' && (*argv)[0][0] != '@' && !is_input((*argv)[0])) {
		(*argc)--;
		return program_key(*(*argv)++, key, size, path) ? (*argv)[-1] : NULL;
	}
	if (given && *given)
		return !strpbrk(given, " \t\n'\"\\") && program_key(given, key, size, path) ? given : NULL;
	while ((word = each_listed(defaults, word)).start) {
		snprintf(name, sizeof name, "%.*s", (int)word.size, word.start);
		if (program_key(name, key, size, path))
			return name;
	}
	return NULL;
}

/* Whether the environment says where a compiler looks for its programs. */
static bool looks_elsewhere(void)
{
	struct text word = { 0 };
	char name[64], *value;

	while ((word = each_listed("compiler's own variables", word)).start) {
		snprintf(name, sizeof name, "%.*s", (int)word.size, word.start);
		if ((value = getenv(name)) && *value)
			return true;
	}
	return false;
}

void compile(int argc, char **argv, const char *variable, const char *defaults)
{
	char key[16384], prefix[DIRECTORY_SIZE + 16];
	char *verify = getenv("RING3_VERIFY"), *search = getenv("PATH"), *compiler, *program, **words;
	struct text known, extra;
	size_t length;
	int count = 0, path;

	if (verify && *verify && strcmp(verify, "0"))
		return;
	if (looks_elsewhere())
		return;
	compiler = choose(&argc, &argv, variable, defaults, key, sizeof key, &path);
	if (!compiler || !argc)
		return;
	length = strlen(key);
	length += snprintf(key + length, sizeof key - length, " %s", search ? search : "");
	for (int i = 0; i < argc; i++) {
		struct text word = as_text(argv[i]);
		if (listed_prefix("hard compiler options", word))
			return;
		if (listed_prefix("compiler's own lookup", word))
			length += snprintf(key + length, length < sizeof key ? sizeof key - length : 0, " %s", argv[i]);
	}
	words = calloc(argc + 8, sizeof *words);
	if (length >= sizeof key || !words)
		return;
	program = strndup(key, path);
	words[count++] = compiler;
	for (int i = 0; i < argc; i++)
		if (listed("not assembling", as_text(argv[i])) || listed_prefix("not assembling, by prefix", as_text(argv[i]))) {
			memcpy(words + count, argv, argc * sizeof *argv);
			become(program, words);
		}
	if (!recall('C', as_text(key), &known))
		return;
	snprintf(prefix, sizeof prefix, "-B%s/ring3-", stage_directory);
	words[count++] = prefix;
	/* The assembler, then a word for each option: zeros between them, and one at the end. */
	setenv("RING3_AS", known.start, 1);
	extra = (struct text){ known.start, strlen(known.start) };
	while (count < 6 && (extra.start += extra.size + 1) < known.start + known.size) {
		extra.size = strlen(extra.start);
		words[count++] = (char *)extra.start;
	}
	memcpy(words + count, argv, argc * sizeof *argv);
	become(program, words);
}
