/* The first program of a user-mode Linux: writes 80 bytes to its console again and again, says how long that
 * took (as micro.c does, in TSC cycles), and switches the machine off. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>
#include <x86intrin.h>

#define WRITES 2000 /* as in guest/micro.c */

int main(void)
{
	char line[80];
	uint64_t start;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	start = __rdtsc();
	for (int i = 0; i < WRITES; i++)
		if (write(1, line, sizeof(line)) != sizeof(line))
			return 1;
	printf("\nUML %d %llu\n", WRITES, (unsigned long long)(__rdtsc() - start));
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
