/* sleep MILLISECONDS */
#include "unix.h"

int main(int count, char **arguments)
{
	int time = count == 2 ? number_of(arguments[1]) : -1;

	if (time < 0) {
		print_to(STANDARD_ERROR, "usage: sleep MILLISECONDS\n");
		return 2;
	}
	sleep_ms((unsigned)time);
	return 0;
}
