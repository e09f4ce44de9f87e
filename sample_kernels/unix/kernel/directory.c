/* Files by name. */
#include "inode.h"

#include "abi.h"
#include "errors.h"
#include "pc.h"
#include "process.h"

#define ENTRY_BYTES sizeof(struct directory_entry)

static int same(const char *one, const char *other)
{
	while (*one && *one == *other)
		one++, other++;
	return *one == *other;
}

/* Copy the next name of `path`, which is what lies between slashes, to `name`; returns what follows, NULL if there was no
 * name. A name that is too long becomes an empty one. */
static const char *next_name(const char *path, char name[NAME_BYTES])
{
	unsigned length = 0;

	while (*path == '/')
		path++;
	if (!*path)
		return NULL;
	for (; *path && *path != '/'; path++, length++)
		if (length < NAME_BYTES - 1)
			name[length] = *path;
	name[length < NAME_BYTES ? length : 0] = 0;
	return path;
}

/* Where in the directory the entry is, and the entry; or -ENOENT. An empty name finds a free place. */
static int find_entry(struct inode *directory, const char *name, struct directory_entry *entry)
{
	for (uint32_t at = 0; at < directory->disk.size; at += ENTRY_BYTES) {
		inode_read(directory, entry, at, ENTRY_BYTES);
		if (entry->inode ? *name && same(entry->name, name) : !*name)
			return (int)at;
	}
	return -ENOENT;
}

static int add_entry(struct inode *directory, const char *name, struct inode *inode)
{
	struct directory_entry entry;
	int at = find_entry(directory, "", &entry), written;
	unsigned length = 0;

	entry = (struct directory_entry){ .inode = inode->number };
	for (; name[length]; length++)
		entry.name[length] = name[length];
	written = inode_write(directory, &entry, at < 0 ? directory->disk.size : (uint32_t)at, ENTRY_BYTES);
	if (written < 0)
		return written;
	inode->disk.links++;
	inode_update(inode);
	return 0;
}

static void remove_entry(struct inode *directory, int at, struct inode *inode)
{
	const struct directory_entry entry = { 0 };

	inode_write(directory, &entry, (uint32_t)at, ENTRY_BYTES);
	inode->disk.links--;
	inode_update(inode);
}

static int is_empty(struct inode *directory)
{
	struct directory_entry entry;

	for (uint32_t at = 0; at < directory->disk.size; at += ENTRY_BYTES) {
		inode_read(directory, &entry, at, ENTRY_BYTES);
		if (entry.inode && !same(entry.name, ".") && !same(entry.name, ".."))
			return 0;
	}
	return 1;
}

/* From `directory`, which is put, to what it has under this name; to NULL where that fails. */
static int step(struct inode **directory, const char *name)
{
	struct inode *from = *directory;
	struct directory_entry entry;
	int at;

	if (from->disk.type != TYPE_DIRECTORY)
		at = -ENOTDIR;
	else if (!*name)
		at = -ENAMETOOLONG;
	else
		at = find_entry(from, name, &entry);
	*directory = at < 0 ? NULL : inode_get(entry.inode);
	inode_put(from);
	return at < 0 ? at : 0;
}

static struct inode *start_of(const char *path)
{
	return *path == '/' ? inode_get(ROOT_INODE) : inode_share(current->directory);
}

int path_find(const char *path, struct inode **found)
{
	char name[NAME_BYTES];
	int error = *path ? 0 : -ENOENT;

	if (error)
		return error;
	*found = start_of(path);
	while (!error && (path = next_name(path, name)))
		error = step(found, name);
	return error;
}

/* The directory of the path's last name, and the name. */
static int find_parent(const char *path, struct inode **directory, char name[NAME_BYTES])
{
	const char *rest = next_name(path, name);
	char further[NAME_BYTES];
	int error = 0;

	if (!rest)
		return *path ? -EEXIST : -ENOENT;	/* the root has no name */
	*directory = start_of(path);
	for (const char *next; !error && (next = next_name(rest, further)); rest = next) {
		error = step(directory, name);
		memcpy(name, further, NAME_BYTES);
	}
	if (!error && (*directory)->disk.type != TYPE_DIRECTORY)
		error = -ENOTDIR;
	else if (!error && !*name)
		error = -ENAMETOOLONG;
	else if (!error && !(*directory)->disk.links)
		error = -ENOENT;		/* removed, but still somebody's current directory */
	else
		return error;
	if (*directory)
		inode_put(*directory);
	return error;
}

/* Make an inode and name it. What has been done before an error is undone by dropping the last link. */
static int create(struct inode *directory, const char *name, uint16_t type, struct inode **found)
{
	struct inode *inode = inode_create(type);
	int error = inode ? 0 : -ENOSPC;

	if (!error && type == TYPE_DIRECTORY) {
		error = add_entry(inode, ".", inode);
		if (!error)
			error = add_entry(inode, "..", directory);
		if (error)
			inode->disk.links = 0;
	}
	if (!error) {
		error = add_entry(directory, name, inode);
		if (error && type == TYPE_DIRECTORY) {
			inode->disk.links = 0;
			directory->disk.links--;
			inode_update(directory);
		}
	}
	if (error && inode)
		inode_put(inode);
	*found = inode;
	return error;
}

int path_create(const char *path, uint16_t type, int exclusive, struct inode **found)
{
	struct directory_entry entry;
	struct inode *directory;
	char name[NAME_BYTES];
	int error = find_parent(path, &directory, name);

	if (error)
		return error;
	if (find_entry(directory, name, &entry) < 0)
		error = create(directory, name, type, found);
	else if (exclusive)
		error = -EEXIST;
	else
		*found = inode_get(entry.inode);
	inode_put(directory);
	return error;
}

int path_link(const char *path, const char *new)
{
	struct directory_entry entry;
	struct inode *inode, *directory;
	char name[NAME_BYTES];
	int error = path_find(path, &inode);

	if (error)
		return error;
	error = inode->disk.type == TYPE_DIRECTORY ? -EISDIR : find_parent(new, &directory, name);
	if (!error) {
		error = find_entry(directory, name, &entry) >= 0 ? -EEXIST : add_entry(directory, name, inode);
		inode_put(directory);
	}
	inode_put(inode);
	return error;
}

int path_unlink(const char *path)
{
	struct directory_entry entry;
	struct inode *directory, *inode;
	char name[NAME_BYTES];
	int error = find_parent(path, &directory, name), at;

	if (error)
		return error == -EEXIST ? -EINVAL : error;
	at = find_entry(directory, name, &entry);
	if (at < 0 || same(name, ".") || same(name, "..")) {
		inode_put(directory);
		return at < 0 ? at : -EINVAL;
	}
	inode = inode_get(entry.inode);
	if (inode->disk.type == TYPE_DIRECTORY && !is_empty(inode)) {
		error = -ENOTEMPTY;
	} else {
		if (inode->disk.type == TYPE_DIRECTORY) {	/* its "." and ".." go, too */
			inode->disk.links--;
			directory->disk.links--;
			inode_update(directory);
			inode_truncate(inode);
		}
		remove_entry(directory, at, inode);
	}
	inode_put(inode);
	inode_put(directory);
	return error;
}
