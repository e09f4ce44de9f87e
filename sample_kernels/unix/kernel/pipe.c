/* Pipes: a page of memory, filled at one end and emptied at the other. Readers and writers wait for different things: else
 * two of a kind could wake each other for ever. */
#include "file.h"

#include "errors.h"
#include "process.h"

#define PIPE_BYTES (PAGE_SIZE - 4 * sizeof(uint32_t))

struct pipe {
	uint32_t start, count;		/* of what is in it */
	uint32_t reader, writer;	/* whether this end is open; and what readers and writers wait for */
	char bytes[PIPE_BYTES];
};

struct pipe *pipe_new(void)
{
	struct pipe *pipe = page_allocate();

	if (pipe)
		pipe->reader = pipe->writer = 1;
	return pipe;
}

void pipe_close(struct pipe *pipe, int writer)
{
	if (writer)
		pipe->writer = 0;
	else
		pipe->reader = 0;
	process_wake(&pipe->reader);
	process_wake(&pipe->writer);
	if (!pipe->reader && !pipe->writer)
		page_free(pipe);
}

/* Waits for the first byte, not for all. Nothing, and nobody to write any more: the end. */
int pipe_read(struct pipe *pipe, char *to, uint32_t length)
{
	uint32_t done = 0;

	while (!pipe->count && pipe->writer && length) {
		if (signal_pending())
			return -EINTR;
		process_block(&pipe->reader);
	}
	while (done < length && pipe->count) {
		to[done++] = pipe->bytes[pipe->start];
		pipe->start = (pipe->start + 1) % PIPE_BYTES;
		pipe->count--;
	}
	process_wake(&pipe->writer);
	return (int)done;
}

int pipe_write(struct pipe *pipe, const char *from, uint32_t length)
{
	uint32_t done = 0;

	while (done < length) {
		if (!pipe->reader) {
			signal_send(current, SIGPIPE);
			return -EPIPE;
		}
		if (pipe->count < PIPE_BYTES) {
			pipe->bytes[(pipe->start + pipe->count) % PIPE_BYTES] = from[done++];
			pipe->count++;
			continue;
		}
		process_wake(&pipe->reader);
		if (signal_pending())
			return done ? (int)done : -EINTR;
		process_block(&pipe->writer);
	}
	process_wake(&pipe->reader);
	return (int)done;
}
