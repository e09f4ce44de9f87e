/* cat [FILE...]: copy files, or the standard input, to the standard output. */
#include "unix.h"

static int copy(const char *name, int descriptor)
{
	char bytes[1024];
	int length;

	while ((length = read(descriptor, bytes, sizeof(bytes))) > 0)
		if (write(STANDARD_OUTPUT, bytes, (unsigned)length) != length)
			return 1;
	return length < 0 ? complain("cat", name, length) : 0;
}

int main(int count, char **arguments)
{
	int bad = 0;

	if (count == 1)
		return copy("standard input", STANDARD_INPUT);
	for (int index = 1; index < count; index++) {
		int descriptor = open(arguments[index], O_READ);

		bad |= descriptor < 0 ? complain("cat", arguments[index], descriptor) : copy(arguments[index], descriptor);
		if (descriptor >= 0)
			close(descriptor);
	}
	return bad;
}
