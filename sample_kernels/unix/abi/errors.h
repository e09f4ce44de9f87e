/* What can be wrong with a system call. */
#ifndef ERRORS_H
#define ERRORS_H

#define EPERM 1		/* not permitted */
#define ENOENT 2	/* no such file */
#define ESRCH 3		/* no such process */
#define EINTR 4		/* interrupted by a signal */
#define E2BIG 7		/* too many arguments */
#define ENOEXEC 8	/* not a program */
#define EBADF 9		/* not an open file, or not open for this */
#define ECHILD 10	/* no children */
#define EAGAIN 11	/* no more processes */
#define ENOMEM 12	/* out of memory */
#define EFAULT 14	/* bad address */
#define EEXIST 17	/* file exists */
#define ENOTDIR 20	/* not a directory */
#define EISDIR 21	/* is a directory */
#define EINVAL 22	/* invalid argument */
#define ENFILE 23	/* too many open files in the system */
#define EMFILE 24	/* too many open files in the process */
#define EFBIG 27	/* file too large */
#define ENOSPC 28	/* no space left on the disk */
#define ESPIPE 29	/* not a file with places in it */
#define EPIPE 32	/* nobody reads the pipe */
#define ENAMETOOLONG 36	/* name too long */
#define ENOSYS 38	/* no such system call */
#define ENOTEMPTY 39	/* directory not empty */

#endif
