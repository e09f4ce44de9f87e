/* Reads commands, and has them done by others. */
#include "program.h"

static char argument[2][TEXT_SIZE];		/* the first two words behind the command */
static const char *rest;			/* what follows the first */

static void names(void)
{
	struct message message = { .type = NAMES_LIST };

	for (;;) {
		call(NAMES, &message);
		if (!message.words[0])
			return;
		print("  task %u is %s\n", message.words[0]++, message.text);
	}
}

static void write(void)
{
	struct message message = { .type = BLOCKS_WRITE, .words = { number(argument[0]) } };

	copy_text(message.text, rest, BLOCK_SIZE);
	call(name_find("blocks"), &message);
	if (message.type == REFUSED)
		print("  there is no block %s\n", argument[0]);
}

static void read(void)
{
	struct message message = { .type = BLOCKS_READ, .words = { number(argument[0]) } };

	call(name_find("blocks"), &message);
	if (message.type == REFUSED)
		print("  there is no block %s\n", argument[0]);
	else
		print("  %s\n", message.text);
}

/* Each call is two messages and two changes of address space, at least. */
static void calls(void)
{
	unsigned blocks = name_find("blocks"), count = number(argument[0]);
	struct message message = { .type = BLOCKS_READ };

	for (unsigned n = 0; n < count; n++)
		call(blocks, &message);
	print("  %u calls of blocks\n", count);
}

static void sleep(void)
{
	struct message message = { .type = TIMER_SLEEP, .words = { number(argument[0]) } };

	call(name_find("timer"), &message);
	print("  slept\n");
}

static void await(unsigned count)
{
	struct message message;

	while (count--)
		receive(ANY, &message);
}

static void start(const char *name, uint32_t amount)
{
	struct message message = { .type = START, .words = { amount } };

	send(name_find(name), &message);
}

static void sing(void)
{
	struct message message = { .type = START, .words = { number(argument[0]), name_find("shell") } };

	send(name_find("alto"), &message);
	await(1);
}

/* They wake in the order of their times, whatever that of their starts, and however busy the worker is. */
static void sort(void)
{
	start("worker", 400);
	start("third", 300);
	start("first", 100);
	start("second", 200);
	await(4);
}

static void break_something(void)
{
	struct message message = { .type = START };
	unsigned breaker = name_look(argument[0]);

	if (!breaker)
		print("  nobody is called %s\n", argument[0]);
	else if (call(breaker, &message) == ERROR_NO_TASK)
		print("  %s is no more\n", argument[0]);
}

static void off(void)
{
	struct message message = { .type = POWER_OFF };

	call(name_find("power"), &message);
}

static void help(void);

static const struct {
	const char *name, *what;
	void (*act)(void);
} commands[] = {
	{ "help", "this list", help },
	{ "names", "the tasks that have told the name server who they are", names },
	{ "write", "N TEXT: to a block of the RAM disk", write },
	{ "read", "N: a block", read },
	{ "calls", "N: call the RAM disk as often", calls },
	{ "sleep", "N: milliseconds", sleep },
	{ "sing", "N: verses, by three tasks in turn", sing },
	{ "sort", "by sleeping, while another task works", sort },
	{ "break", "NAME: have that breaker do what it may not", break_something },
	{ "off", "turn the machine off", off },
	{ 0, 0, 0 },
};

static void help(void)
{
	for (unsigned n = 0; commands[n].name; n++)
		print("  %s  %s\n", commands[n].name, commands[n].what);
}

static void run(const char *line)
{
	char command[16];

	nth_word(line, 0, command, sizeof(command));
	nth_word(line, 1, argument[0], TEXT_SIZE);
	rest = nth_word(line, 2, argument[1], TEXT_SIZE);
	for (unsigned n = 0; commands[n].name; n++)
		if (same(command, commands[n].name)) {
			commands[n].act();
			return;
		}
	if (*command)
		print("  %s is no command; help lists them\n", command);
}

void program(const char *line)
{
	unsigned console = name_find("console");

	(void)line;
	name_register("shell");
	for (;;) {
		struct message message = { .type = CONSOLE_READ };

		print("micro> ");
		call(console, &message);
		run(message.text);
	}
}
