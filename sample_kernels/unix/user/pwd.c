/* pwd: the path of the current directory, found by climbing: each directory is named by the one above it. */
#include "unix.h"

/* The name in the current directory of what has this inode; false: it has none. */
static int name_of(uint32_t inode, char name[NAME_BYTES])
{
	struct directory_entry entry;
	int directory = open(".", O_READ), found = 0;

	while (!found && read(directory, &entry, sizeof(entry)) == sizeof(entry))
		found = entry.inode == inode && !string_equal(entry.name, ".") && !string_equal(entry.name, "..");
	close(directory);
	if (found)
		string_copy(name, entry.name, NAME_BYTES);
	return found;
}

int main(int count, char **arguments)
{
	char path[PATH_MAX], *start = path + sizeof(path) - 1, name[NAME_BYTES];
	struct stat about;
	int error;

	(void)count, (void)arguments;
	*start = 0;
	while (!(error = stat(".", &about)) && about.inode != ROOT_INODE) {
		unsigned length;

		if ((error = chdir("..")) || !name_of(about.inode, name))
			break;
		length = string_length(name);
		if (start < path + length + 1)
			return complain("pwd", name, -ENAMETOOLONG);
		start -= length;
		memcpy(start, name, length);
		*--start = '/';
	}
	if (error)
		return complain("pwd", ".", error);
	print("%s\n", *start ? start : "/");
	return 0;
}
