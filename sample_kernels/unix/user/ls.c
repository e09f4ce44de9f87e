/* ls [-l] [PATH...]: what is in a directory. */
#include "unix.h"

static const char *type_name(uint32_t type)
{
	return type == TYPE_DIRECTORY ? "directory" : type == TYPE_DEVICE ? "device" : "file";
}

static void list_one(const char *directory, const char *name, int details)
{
	char path[PATH_MAX];
	struct stat about;

	if (!details) {
		print("%s\n", name);
		return;
	}
	string_copy(path, directory, sizeof(path));
	if (*directory)
		string_copy(path + string_length(path), "/", sizeof(path) - string_length(path));
	string_copy(path + string_length(path), name, sizeof(path) - string_length(path));
	if (stat(path, &about) == 0)
		print("%-9s %2u %7u %s\n", type_name(about.type), about.links, about.size, name);
}

static int list(const char *path, int details)
{
	struct directory_entry entry;
	struct stat about;
	int error = stat(path, &about), directory;

	if (error)
		return complain("ls", path, error);
	if (about.type != TYPE_DIRECTORY) {
		list_one("", path, details);
		return 0;
	}
	directory = open(path, O_READ);
	if (directory < 0)
		return complain("ls", path, directory);
	while (read(directory, &entry, sizeof(entry)) == sizeof(entry))
		if (entry.inode && !string_equal(entry.name, ".") && !string_equal(entry.name, ".."))
			list_one(path, entry.name, details);
	close(directory);
	return 0;
}

int main(int count, char **arguments)
{
	int details = count > 1 && string_equal(arguments[1], "-l"), first = 1 + details, bad = 0;

	if (first == count)
		return list(".", details);
	for (int index = first; index < count; index++)
		bad |= list(arguments[index], details);
	return bad;
}
