/* A RAM disk. */
#include "program.h"

static char blocks[BLOCKS][BLOCK_SIZE];

static void transfer(char *to, const char *from)
{
	for (unsigned at = 0; at < BLOCK_SIZE; at++)
		to[at] = from[at];
}

void program(const char *line)
{
	struct message message;

	(void)line;
	name_register("blocks");
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);

		if (message.words[0] >= BLOCKS)
			message.type = REFUSED;
		else if (message.type == BLOCKS_WRITE)
			transfer(blocks[message.words[0]], message.text);
		else if (message.type == BLOCKS_READ)
			transfer(message.text, blocks[message.words[0]]);
		else
			message.type = REFUSED;
		reply(client, &message);
	}
}
