/* The name server, task 1: the only task whose number programs know beforehand. */
#include "program.h"

#define TASKS 24
#define NAME_SIZE 16

static char names[TASKS][NAME_SIZE];		/* of each task; empty: none */
static char awaited[TASKS][NAME_SIZE];		/* whom each task waits for; empty: nobody */

static unsigned find(const char *name)
{
	for (unsigned task = 1; task < TASKS; task++)
		if (*name && same(names[task], name))
			return task;
	return 0;
}

static int enter(unsigned task, const char *name)
{
	struct message answer = { .type = NAMES_FIND, .words = { task } };

	if (task >= TASKS || !*name || find(name))
		return 0;
	copy_text(names[task], name, NAME_SIZE);
	for (unsigned waiting = 1; waiting < TASKS; waiting++)
		if (same(awaited[waiting], name)) {
			reply(waiting, &answer);
			awaited[waiting][0] = 0;
		}
	return 1;
}

/* The first task that has a name, from words[0] on. */
static void list(struct message *message)
{
	unsigned task = message->words[0];

	while (task < TASKS && !names[task][0])
		task++;
	message->words[0] = task < TASKS ? task : 0;
	copy_text(message->text, task < TASKS ? names[task] : "", TEXT_SIZE);
}

void program(const char *line)
{
	struct message message;

	(void)line;
	enter(NAMES, "names");
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);
		int answered = 1;

		message.text[NAME_SIZE - 1] = 0;
		switch (message.type) {
		case NAMES_REGISTER:
			if (!enter(client, message.text))
				message.type = REFUSED;
			break;
		case NAMES_FIND:
			message.words[0] = find(message.text);
			if (!message.words[0] && client < TASKS) {
				copy_text(awaited[client], message.text, NAME_SIZE);
				answered = 0;
			}
			break;
		case NAMES_LOOK:
			message.words[0] = find(message.text);
			break;
		case NAMES_LIST:
			list(&message);
			break;
		default:
			message.type = REFUSED;
		}
		if (answered)
			reply(client, &message);
	}
}
