/* ln FILE NEW: one more name for a file. */
#include "unix.h"

int main(int count, char **arguments)
{
	int error;

	if (count != 3) {
		print_to(STANDARD_ERROR, "usage: ln FILE NEW\n");
		return 2;
	}
	error = link(arguments[1], arguments[2]);
	return error ? complain("ln", arguments[2], error) : 0;
}
