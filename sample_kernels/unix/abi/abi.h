/* What kernel and programs must agree on, beside calls.h and errors.h. */
#ifndef ABI_H
#define ABI_H

#include <stdint.h>

#define PATH_MAX 256		/* bytes of a path, its end included */
#define ARGUMENTS_MAX 32
#define ARGUMENT_BYTES 2048	/* of all arguments of a program together */

/* open() */
#define O_READ 1
#define O_WRITE 2
#define O_CREATE 4
#define O_EXCLUSIVE 8		/* with O_CREATE: the file must be new */
#define O_TRUNCATE 16
#define O_APPEND 32

/* seek() */
#define SEEK_SET 0
#define SEEK_CURRENT 1
#define SEEK_END 2

/* stat() and fstat() */
struct stat {
	uint32_t type;		/* TYPE_... of disk.h, or TYPE_PIPE */
	uint32_t inode;
	uint32_t links;
	uint32_t size;		/* bytes */
};
#define TYPE_PIPE 16

/* waitpid() */
#define WAIT_NO_HANG 1
#define STATUS_EXITED(status) (((status) & 0xff) == 0)
#define STATUS_CODE(status) ((status) >> 8 & 0xff)	/* what it gave exit() */
#define STATUS_SIGNAL(status) ((status) & 0xff)		/* what killed it; 0: nothing did */

/* Signals. All end the process unless it says otherwise, except SIGCHLD, which is ignored. */
#define SIGINT 2		/* Ctrl-C */
#define SIGILL 4
#define SIGTRAP 5
#define SIGFPE 8
#define SIGKILL 9		/* cannot be caught, ignored or masked */
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17		/* a child ended */
#define SIGNALS 32

/* signal_action(): handlers that are none */
#define SIGNAL_DEFAULT 0
#define SIGNAL_IGNORE 1

/* process_info() */
struct process_info {
	int32_t pid, parent;
	uint32_t milliseconds;	/* of processor time */
	uint32_t pages;		/* of memory */
	char state;		/* R: ready, S: waits, Z: ended, not waited for */
	char name[15];
};

#endif
