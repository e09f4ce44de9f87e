/* cp FROM TO: a copy of a file. */
#include "unix.h"

int main(int count, char **arguments)
{
	int from, to, length, written;
	char bytes[4096];

	if (count != 3) {
		print_to(STANDARD_ERROR, "usage: cp FROM TO\n");
		return 2;
	}
	from = open(arguments[1], O_READ);
	if (from < 0)
		return complain("cp", arguments[1], from);
	to = open(arguments[2], O_WRITE | O_CREATE | O_TRUNCATE);
	if (to < 0)
		return complain("cp", arguments[2], to);
	while ((length = read(from, bytes, sizeof(bytes))) > 0) {
		written = write(to, bytes, (unsigned)length);
		if (written != length)
			return complain("cp", arguments[2], written < 0 ? written : -ENOSPC);
	}
	return length < 0 ? complain("cp", arguments[1], length) : 0;
}
