/* System calls about files. */
#include "errors.h"
#include "file.h"
#include "inode.h"
#include "process.h"
#include "syscall.h"

static struct file *file_of(uint32_t descriptor)
{
	return descriptor < FILES_MAX ? current->files[descriptor] : NULL;
}

/* The lowest free descriptor, or -EMFILE. */
static int descriptor_for(struct file *file)
{
	for (int descriptor = 0; descriptor < FILES_MAX; descriptor++)
		if (!current->files[descriptor]) {
			current->files[descriptor] = file;
			return descriptor;
		}
	return -EMFILE;
}

static int kind_of(const struct inode *inode)
{
	if (inode->disk.type != TYPE_DEVICE)
		return FILE_INODE;
	return inode->disk.size == DEVICE_CONSOLE ? FILE_CONSOLE : FILE_NULL;
}

/* The file system is locked. Takes over the inode, also if there is an error. */
static int open_inode(struct inode *inode, uint32_t flags)
{
	struct file *file = NULL;
	int result = 0;

	if (inode->disk.type == TYPE_DIRECTORY && flags & O_WRITE)
		result = -EISDIR;
	else if (!(file = file_new(kind_of(inode), flags)))
		result = -ENFILE;
	else if ((result = descriptor_for(file)) < 0)
		file->references = 0;
	if (result < 0) {
		inode_put(inode);
		return result;
	}
	file->inode = inode;
	if (flags & O_TRUNCATE && flags & O_WRITE && inode->disk.type == TYPE_FILE)
		inode_truncate(inode);
	return result;
}

/* open(path, flags) */
int32_t sys_open(const struct call *call)
{
	char path[PATH_MAX];
	struct inode *inode;
	int result = path_of(path, call->first);

	if (result)
		return result;
	if (!(call->second & (O_READ | O_WRITE)))
		return -EINVAL;
	file_system_lock();
	if (call->second & O_CREATE)
		result = path_create(path, TYPE_FILE, (call->second & O_EXCLUSIVE) != 0, &inode);
	else
		result = path_find(path, &inode);
	if (!result)
		result = open_inode(inode, call->second);
	file_system_unlock();
	return result;
}

int32_t sys_close(const struct call *call)
{
	struct file *file = file_of(call->first);

	if (!file)
		return -EBADF;
	current->files[call->first] = NULL;
	file_close(file);
	return 0;
}

/* read(descriptor, memory, length) */
int32_t sys_read(const struct call *call)
{
	struct file *file = file_of(call->first);

	if (!file || !(file->flags & O_READ))
		return -EBADF;
	if (user_check(call->second, call->third, 1))
		return -EFAULT;
	return file_read(file, (void *)call->second, call->third);
}

/* write(descriptor, memory, length) */
int32_t sys_write(const struct call *call)
{
	struct file *file = file_of(call->first);

	if (!file || !(file->flags & O_WRITE))
		return -EBADF;
	if (user_check(call->second, call->third, 0))
		return -EFAULT;
	return file_write(file, (const void *)call->second, call->third);
}

/* seek(descriptor, offset, from): the new offset. */
int32_t sys_seek(const struct call *call)
{
	struct file *file = file_of(call->first);
	uint32_t base;

	if (!file)
		return -EBADF;
	if (file->kind != FILE_INODE)
		return -ESPIPE;
	base = call->third == SEEK_END ? file->inode->disk.size : call->third == SEEK_CURRENT ? file->offset : 0;
	if (call->third > SEEK_END || (int32_t)(base + call->second) < 0)
		return -EINVAL;
	file->offset = base + call->second;
	return (int32_t)file->offset;
}

int32_t sys_dup(const struct call *call)
{
	struct file *file = file_of(call->first);
	int descriptor = file ? descriptor_for(file) : -EBADF;

	if (descriptor >= 0)
		file_share(file);
	return descriptor;
}

/* dup2(descriptor, other): `other` is closed first, if it is open. */
int32_t sys_dup2(const struct call *call)
{
	struct file *file = file_of(call->first), *old;

	if (!file || call->second >= FILES_MAX)
		return -EBADF;
	file_share(file);		/* first: they may be the same */
	old = current->files[call->second];
	current->files[call->second] = file;
	if (old)
		file_close(old);
	return (int32_t)call->second;
}

/* pipe(descriptors): the first to read from, the second to write to. */
int32_t sys_pipe(const struct call *call)
{
	int *descriptors = (int *)call->first, ends[2];
	struct file *reader, *writer;
	struct pipe *pipe;

	if (user_check(call->first, sizeof(ends), 1))
		return -EFAULT;
	pipe = pipe_new();
	if (!pipe)
		return -ENOMEM;
	reader = file_new(FILE_PIPE, O_READ);
	writer = file_new(FILE_PIPE, O_WRITE);
	ends[0] = reader && writer ? descriptor_for(reader) : -ENFILE;
	ends[1] = ends[0] < 0 ? ends[0] : descriptor_for(writer);
	if (ends[1] < 0) {
		if (ends[0] >= 0)
			current->files[ends[0]] = NULL;
		if (reader)
			reader->references = 0;
		if (writer)
			writer->references = 0;
		page_free(pipe);
		return ends[1];
	}
	reader->pipe = writer->pipe = pipe;
	descriptors[0] = ends[0];
	descriptors[1] = ends[1];
	return 0;
}

static void describe(struct stat *stat, const struct inode *inode)
{
	*stat = (struct stat){ inode->disk.type, inode->number, inode->disk.links, inode->disk.size };
}

/* stat(path, stat) */
int32_t sys_stat(const struct call *call)
{
	char path[PATH_MAX];
	struct inode *inode;
	int error = path_of(path, call->first);

	if (!error)
		error = user_check(call->second, sizeof(struct stat), 1);
	if (error)
		return error;
	file_system_lock();
	error = path_find(path, &inode);
	if (!error) {
		describe((struct stat *)call->second, inode);
		inode_put(inode);
	}
	file_system_unlock();
	return error;
}

/* fstat(descriptor, stat) */
int32_t sys_fstat(const struct call *call)
{
	struct file *file = file_of(call->first);

	if (!file)
		return -EBADF;
	if (user_check(call->second, sizeof(struct stat), 1))
		return -EFAULT;
	if (file->inode)
		describe((struct stat *)call->second, file->inode);
	else
		*(struct stat *)call->second = (struct stat){ .type = TYPE_PIPE };
	return 0;
}

/* link(path, new) */
int32_t sys_link(const struct call *call)
{
	char path[PATH_MAX], new[PATH_MAX];
	int error = path_of(path, call->first);

	if (!error)
		error = path_of(new, call->second);
	if (error)
		return error;
	file_system_lock();
	error = path_link(path, new);
	file_system_unlock();
	return error;
}

/* unlink(path): a file, or an empty directory. */
int32_t sys_unlink(const struct call *call)
{
	char path[PATH_MAX];
	int error = path_of(path, call->first);

	if (error)
		return error;
	file_system_lock();
	error = path_unlink(path);
	file_system_unlock();
	return error;
}

int32_t sys_mkdir(const struct call *call)
{
	char path[PATH_MAX];
	struct inode *inode;
	int error = path_of(path, call->first);

	if (error)
		return error;
	file_system_lock();
	error = path_create(path, TYPE_DIRECTORY, 1, &inode);
	if (!error)
		inode_put(inode);
	file_system_unlock();
	return error;
}

int32_t sys_chdir(const struct call *call)
{
	char path[PATH_MAX];
	struct inode *inode;
	int error = path_of(path, call->first);

	if (error)
		return error;
	file_system_lock();
	error = path_find(path, &inode);
	if (!error && inode->disk.type != TYPE_DIRECTORY) {
		inode_put(inode);
		error = -ENOTDIR;
	}
	if (!error) {
		inode_put(current->directory);
		current->directory = inode;
	}
	file_system_unlock();
	return error;
}

int32_t sys_sync(const struct call *call)
{
	(void)call;
	file_system_sync();
	return 0;
}
