/* Three of these sing in turn: each sends the next one what is left of the song. Its words are its own name and the
 * next one's. */
#include "program.h"

void program(const char *line)
{
	char name[16], next[16];
	struct message message;

	nth_word(line, 1, name, sizeof(name));
	nth_word(line, 2, next, sizeof(next));
	name_register(name);
	for (;;) {
		unsigned conductor, left;

		receive(ANY, &message);
		left = message.words[0];
		conductor = message.words[1];
		if (left) {
			print("  %s sings, %u to go\n", name, left - 1);
			message.words[0] = left - 1;
			send(name_find(next), &message);
		} else {
			message.type = DONE;
			send(conductor, &message);
		}
	}
}
