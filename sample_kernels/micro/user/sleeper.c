/* Sleeps as long as it is told, and says so. Its word is its name. */
#include "program.h"

void program(const char *line)
{
	unsigned timer = name_find("timer");
	char name[16];
	struct message message;

	nth_word(line, 1, name, sizeof(name));
	name_register(name);
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);

		message.type = TIMER_SLEEP;
		call(timer, &message);
		print("  %s wakes\n", name);
		message.type = DONE;
		send(client, &message);
	}
}
