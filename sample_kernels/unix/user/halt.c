/* halt: end all processes and turn the machine off, which is the first process's to do. */
#include "unix.h"

int main(int count, char **arguments)
{
	(void)count, (void)arguments;
	kill(1, SIGTERM);
	for (;;)			/* else the shell would go on for a moment */
		signal_wait(0);
}
