/* grep TEXT [FILE]: the lines that have the text in them. Exit status 1: there are none. */
#include "unix.h"

int main(int count, char **arguments)
{
	int descriptor = count > 2 ? open(arguments[2], O_READ) : STANDARD_INPUT, found = 0;
	char line[512];

	if (count < 2) {
		print_to(STANDARD_ERROR, "usage: grep TEXT [FILE]\n");
		return 2;
	}
	if (descriptor < 0)
		return complain("grep", arguments[2], descriptor) + 1;
	while (read_line(descriptor, line, sizeof(line)) >= 0)
		if (string_find(line, arguments[1])) {
			print("%s\n", line);
			found = 1;
		}
	return !found;
}
