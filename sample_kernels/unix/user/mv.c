/* mv FROM TO: another name for a file. */
#include "unix.h"

int main(int count, char **arguments)
{
	int error;

	if (count != 3) {
		print_to(STANDARD_ERROR, "usage: mv FROM TO\n");
		return 2;
	}
	error = link(arguments[1], arguments[2]);
	if (error)
		return complain("mv", arguments[2], error);
	error = unlink(arguments[1]);
	return error ? complain("mv", arguments[1], error) : 0;
}
