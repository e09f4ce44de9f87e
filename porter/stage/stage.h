/*
 * The quick way through `ring3 cc` and `ring3 as`, without Python.
 *
 * A build runs the wrapper once for each file, and starting Python takes longer than all the porting. So this
 * program answers what it is sure of, from what the porter wrote down earlier (memory.c); everything else it
 * hands to Python, whose answer is written down for the next time. It knows no instruction: mnemonics, options
 * and macros all come from the porter's file.
 *
 *   main.c      which command, and the way to Python
 *   compile.c   `ring3 cc`: becomes the compiler, which finds this program in place of its assembler
 *   assemble.c  `ring3 as`: ports a text and becomes the assembler
 *   scan.c      finding the lines of a text that may be sensitive
 *   memory.c    what the porter wrote down
 *
 * No process waits for another: each step replaces the process that it is in, so what is killed is gone, and
 * the exit status is that of the compiler.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of text that need not end in a zero. */
struct text {
	const char *start;
	size_t size;
};

/* main.c */
enum { DIRECTORY_SIZE = 4096 };
extern char stage_directory[DIRECTORY_SIZE];	/* where this program lies */
void call_python(int argc, char **argv);	/* the whole command line, without a program name; does not return */
void become(const char *program, char **argv);	/* does not return */
void fail(const char *what, const char *why);	/* one line, status 2 */

/* compile.c, assemble.c: argv without a program name. They return where Python must do it. */
void compile(int argc, char **argv, const char *variable, const char *defaults);
void assemble(int argc, char **argv);

/* memory.c */
bool memory_load(void);				/* false: there is none, or it is out of date */
bool recall(char kind, struct text key, struct text *value);
bool listed(const char *list, struct text word);	/* is the word in the list? */
bool listed_prefix(const char *list, struct text word);	/* does a word of the list begin this one? */
/* Names a program as the porter does: the path comes first. */
bool program_key(const char *program, char *key, size_t size, int *size_of_path);
struct text each_listed(const char *list, struct text previous);	/* iterates; start with {0}, ends with {0} */

static inline struct text as_text(const char *string)
{
	return (struct text){ string, __builtin_strlen(string) };
}

/* scan.c */
enum scanned { NOTHING_FOUND, FOUND, TOO_HARD };

/*
 * Calls `found_in` for each unit of text (a statement, or a line that cannot be divided) with a candidate, in order, until
 * it returns false, which is TOO_HARD.
 */
enum scanned scan(struct text text, bool (*found_in)(void *context, struct text unit), void *context);
