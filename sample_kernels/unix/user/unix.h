/* What programs know of the system: its calls, and a small library. */
#ifndef UNIX_H
#define UNIX_H

#include "abi.h"
#include "disk.h"
#include "errors.h"

#include <stdarg.h>
#include <stddef.h>

/* calls.S. Where nothing else is said: 0, or minus an error of errors.h. */
_Noreturn void exit(int code);
int fork(void);					/* the child's pid; 0 in the child */
int exec(const char *path, const char *const *arguments);	/* returns only if it fails */
int waitpid(int pid, int *status, int options);	/* the pid of the child that ended */
int getpid(void);
int getppid(void);
int kill(int pid, int number);			/* pid -1: all but the first process and this one */
int signal_action(int number, void *handler, void (*return_to)(void));	/* the old handler; see signal() */
uint32_t signal_mask(uint32_t mask);		/* the old mask */
int signal_wait(uint32_t mask);			/* always -EINTR, when a handler has run */
int alarm_ms(unsigned milliseconds);
int sleep_ms(unsigned milliseconds);
unsigned uptime_ms(void);
void *sbrk(int increment);			/* the old end of the heap, or minus an error */
int process_info(int index, struct process_info *info);
int power_off(void);				/* for the first process */
int open(const char *path, int flags);		/* a descriptor */
int close(int descriptor);
int read(int descriptor, void *to, unsigned length);	/* the number of bytes */
int write(int descriptor, const void *from, unsigned length);
int seek(int descriptor, int offset, int from);		/* the new offset */
int dup(int descriptor);			/* the new one */
int dup2(int descriptor, int other);
int pipe(int descriptors[2]);
int stat(const char *path, struct stat *stat);
int fstat(int descriptor, struct stat *stat);
int link(const char *path, const char *new);
int unlink(const char *path);			/* a file, or an empty directory */
int mkdir(const char *path);
int chdir(const char *path);
int sync(void);

/* library.c */
#define STANDARD_INPUT 0
#define STANDARD_OUTPUT 1
#define STANDARD_ERROR 2
typedef void signal_handler(int number);
signal_handler *signal(int number, signal_handler *handler);	/* or SIGNAL_DEFAULT, SIGNAL_IGNORE */
int wait(int *status);
size_t string_length(const char *text);
int string_equal(const char *one, const char *other);
char *string_find(const char *text, const char *part);		/* NULL: not in it */
void string_copy(char *to, const char *from, size_t room);	/* as much as there is room for */
int number_of(const char *digits);				/* decimal; -1: that is no number */
void *memset(void *at, int value, size_t length);
void *memcpy(void *to, const void *from, size_t length);
int memory_equal(const void *one, const void *other, size_t length);
void *allocate(size_t bytes);			/* never given back; ends the program where there is no memory */
const char *error_text(int error);		/* of a call's result */
/* Read up to the end of a line, which is not stored: its length, or -1 at the end of the file. */
int read_line(int descriptor, char *line, int room);
/* `program: what: text of the error`; returns 1, for main() to return. */
int complain(const char *program, const char *what, int error);

/* print.c: %s %c %d %u %x %%, a width (%5d), and a minus for filling on the right. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_to(int descriptor, const char *format, ...) __attribute__((format(printf, 2, 3)));

int main(int count, char **arguments);

#endif
