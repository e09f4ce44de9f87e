/* ps: the processes. */
#include "unix.h"

int main(int count, char **arguments)
{
	struct process_info info;
	int found;

	(void)count, (void)arguments;
	print("  PID PARENT STATE PAGES  TIME NAME\n");
	for (int index = 0; (found = process_info(index, &info)) >= 0; index++)
		if (found)
			print("%5d %6d %5c %5u %5u %s\n", info.pid, info.parent, info.state, info.pages, info.ticks, info.name);
	return 0;
}
