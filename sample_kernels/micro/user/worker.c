/* Works without a pause, as long as it is told: all others are more urgent. */
#include "program.h"

static uint32_t now(unsigned timer)
{
	struct message message = { .type = TIMER_NOW };

	call(timer, &message);
	return message.words[0];
}

void program(const char *line)
{
	unsigned timer = name_find("timer");
	struct message message;

	(void)line;
	name_register("worker");
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);
		uint32_t end = now(timer) + message.words[0];

		print("  worker begins\n");
		while ((int32_t)(now(timer) - end) < 0)
			for (volatile unsigned work = 0; work < 100000; work++)
				;
		print("  worker is done\n");
		message.type = DONE;
		send(client, &message);
	}
}
