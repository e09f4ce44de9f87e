/* kill [-NUMBER] PID...: send a signal, SIGTERM unless told. */
#include "unix.h"

int main(int count, char **arguments)
{
	int number = SIGTERM, first = 1, bad = 0;

	if (count > 1 && arguments[1][0] == '-') {
		number = number_of(arguments[1] + 1);
		first++;
	}
	if (first >= count || number < 0) {
		print_to(STANDARD_ERROR, "usage: kill [-NUMBER] PID...\n");
		return 2;
	}
	for (int index = first; index < count; index++) {
		int pid = number_of(arguments[index]), error = pid > 0 ? kill(pid, number) : -EINVAL;

		if (error)
			bad = complain("kill", arguments[index], error);
	}
	return bad;
}
