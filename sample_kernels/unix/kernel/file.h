/* Open files: what descriptors of processes lead to. */
#ifndef FILE_H
#define FILE_H

#include "abi.h"

#include <stdint.h>

#define FILES_OPEN_MAX 128		/* in the system */

struct inode;
struct pipe;

struct file {
	unsigned references;		/* by descriptors; 0: free */
	enum { FILE_INODE, FILE_PIPE, FILE_CONSOLE, FILE_NULL } kind;
	uint32_t flags;			/* O_... */
	uint32_t offset;
	struct inode *inode;		/* of all but pipes */
	struct pipe *pipe;
};

/* file.c. Addresses of memory have been checked. */
struct file *file_new(int kind, uint32_t flags);	/* NULL: too many; one reference */
struct file *file_share(struct file *file);
void file_close(struct file *file);			/* one reference less */
int file_read(struct file *file, void *to, uint32_t length);
int file_write(struct file *file, const void *from, uint32_t length);

/* pipe.c */
struct pipe *pipe_new(void);				/* NULL: out of memory; open at both ends */
void pipe_close(struct pipe *pipe, int writer);		/* one of its ends; the second frees it */
int pipe_read(struct pipe *pipe, char *to, uint32_t length);
int pipe_write(struct pipe *pipe, const char *from, uint32_t length);

#endif
