/* rm PATH...: remove files and empty directories. */
#include "unix.h"

int main(int count, char **arguments)
{
	int bad = 0;

	for (int index = 1; index < count; index++) {
		int error = unlink(arguments[index]);

		if (error)
			bad = complain("rm", arguments[index], error);
	}
	return bad;
}
