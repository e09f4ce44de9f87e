/* halt: end all processes and turn the machine off, which is the first process's to do. */
#include "unix.h"

int main(int count, char **arguments)
{
	(void)count, (void)arguments;
	return kill(1, SIGTERM);
}
