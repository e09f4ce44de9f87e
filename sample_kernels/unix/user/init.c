/* The first process: opens the terminal, runs a shell, and turns the machine off when the shell ends or when it is told to
 * (SIGTERM, which is what `halt` sends). */
#include "unix.h"

static int stop;

static void on_terminate(int number)
{
	(void)number;
	stop = 1;
}

int main(int count, char **arguments)
{
	const char *const shell[] = { "sh", NULL };
	int pid, ended;

	(void)count, (void)arguments;
	while (open("/dev/console", O_READ | O_WRITE) < STANDARD_ERROR)
		;
	signal(SIGTERM, on_terminate);
	pid = fork();
	if (pid == 0) {
		exec("/bin/sh", shell);
		print("init: no /bin/sh\n");
		exit(1);
	}
	do
		ended = wait(NULL);	/* whoever lost its parent is ours to wait for, too */
	while (!stop && ended != pid);
	kill(-1, SIGKILL);
	while (wait(NULL) > 0)
		;
	return power_off();
}
