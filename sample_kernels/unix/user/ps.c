/* ps [-t]: the processes; -t: with the processor time that they have used, in milliseconds. */
#include "unix.h"

int main(int count, char **arguments)
{
	struct process_info info;
	int found, time = count > 1 && string_equal(arguments[1], "-t");

	print("  PID PARENT STATE PAGES %sNAME\n", time ? "  TIME " : "");
	for (int index = 0; (found = process_info(index, &info)) >= 0; index++) {
		if (!found)
			continue;
		print("%5d %6d %5c %5u ", info.pid, info.parent, info.state, info.pages);
		if (time)
			print("%6u ", info.milliseconds);
		print("%s\n", info.name);
	}
	return 0;
}
