/* The table of open files, and what reading and writing mean for each kind. */
#include "file.h"

#include "console.h"
#include "errors.h"
#include "inode.h"
#include "process.h"

static struct file files[FILES_OPEN_MAX];

struct file *file_new(int kind, uint32_t flags)
{
	for (struct file *file = files; file < files + FILES_OPEN_MAX; file++)
		if (!file->references) {
			*file = (struct file){ .references = 1, .kind = kind, .flags = flags };
			return file;
		}
	return NULL;
}

struct file *file_share(struct file *file)
{
	file->references++;
	return file;
}

void file_close(struct file *file)
{
	struct file closed = *file;

	if (--file->references)
		return;
	if (closed.pipe)
		pipe_close(closed.pipe, (closed.flags & O_WRITE) != 0);
	if (closed.inode) {
		file_system_lock();
		inode_put(closed.inode);
		file_system_unlock();
	}
}

int file_read(struct file *file, void *to, uint32_t length)
{
	int done;

	switch (file->kind) {
	case FILE_PIPE:
		return pipe_read(file->pipe, to, length);
	case FILE_CONSOLE:
		return console_read(to, length);
	case FILE_NULL:
		return 0;
	default:
		file_system_lock();
		done = inode_read(file->inode, to, file->offset, length);
		file->offset += (uint32_t)done;
		file_system_unlock();
		return done;
	}
}

int file_write(struct file *file, const void *from, uint32_t length)
{
	int done;

	switch (file->kind) {
	case FILE_PIPE:
		return pipe_write(file->pipe, from, length);
	case FILE_CONSOLE:
		return console_write(from, length);
	case FILE_NULL:
		return (int)length;
	default:
		file_system_lock();
		if (file->flags & O_APPEND)
			file->offset = file->inode->disk.size;
		done = inode_write(file->inode, from, file->offset, length);
		if (done > 0)
			file->offset += (uint32_t)done;
		file_system_unlock();
		return done;
	}
}
