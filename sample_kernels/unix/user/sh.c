/* The shell.
 *
 *   line      list of pipelines, each followed by ; or & (not waited for) or && or || or the end
 *   pipeline  commands with | between them
 *   command   words, 'quoted' or "quoted" if need be, and <file >file >>file anywhere among them
 *
 * cd, exit, wait and status are built in. `sh FILE` runs the lines of a file. */
#include "unix.h"

#define PROMPT "$ "
#define LINE_MAX 512
#define WORDS_MAX ARGUMENTS_MAX
#define LAST_DESCRIPTOR 6		/* that a shell ever has open: two of a pipe, and copies */

static char line[LINE_MAX], words[LINE_MAX * 2];
static const char *at;			/* what of the line has not been read */
static char *next_word;			/* room for the next one */
static int status;			/* of the last pipeline */
static volatile int prompted;		/* and nothing was read since */

struct command {
	const char *arguments[WORDS_MAX + 1];
	int count;
	const char *input, *output;
	int output_flags;
};

static int is_blank(char character)
{
	return character == ' ' || character == '\t';
}

static void skip_blanks(void)
{
	while (is_blank(*at))
		at++;
}

static int is_special(char character)
{
	return !character || is_blank(character) || string_find(";&|<>#", (char[]){ character, 0 }) != NULL;
}

/* Take `text` if it is what comes next. */
static int accept(const char *text)
{
	skip_blanks();
	if (!memory_equal(at, text, string_length(text)))
		return 0;
	at += string_length(text);
	return 1;
}

/* The next word without its quotes; NULL if there is none. */
static const char *word(void)
{
	char *start = next_word;

	skip_blanks();
	if (is_special(*at))
		return NULL;
	while (!is_special(*at)) {
		if (*at == '\'' || *at == '"') {
			char quote = *at++;

			while (*at && *at != quote)
				*next_word++ = *at++;
			if (*at)
				at++;
		} else {
			*next_word++ = *at++;
		}
	}
	*next_word++ = 0;
	return start;
}

static int syntax_error(const char *what)
{
	print_to(STANDARD_ERROR, "sh: %s\n", what);
	*line = 0;
	at = line;
	return 0;
}

/* Returns false, and says why, for what is none. */
static int parse_command(struct command *command)
{
	const char *next;

	*command = (struct command){ .output_flags = 0 };
	for (;;) {
		if (accept("<")) {
			if (!(command->input = word()))
				return syntax_error("no file after <");
		} else if (accept(">")) {
			command->output_flags = O_WRITE | O_CREATE | (accept(">") ? O_APPEND : O_TRUNCATE);
			if (!(command->output = word()))
				return syntax_error("no file after >");
		} else if ((next = word())) {
			if (command->count == WORDS_MAX)
				return syntax_error("too many words");
			command->arguments[command->count++] = next;
		} else {
			return command->count || syntax_error("no command");
		}
	}
}

static void redirect(const char *path, int flags, int descriptor)
{
	int opened;

	if (!path)
		return;
	opened = open(path, flags);
	if (opened < 0)
		exit(complain("sh", path, opened));
	dup2(opened, descriptor);
	close(opened);
}

static void become(const struct command *command)
{
	const char *name = command->arguments[0];
	char path[PATH_MAX];
	int error;

	redirect(command->input, O_READ, STANDARD_INPUT);
	redirect(command->output, command->output_flags, STANDARD_OUTPUT);
	if (string_find(name, "/")) {
		string_copy(path, name, sizeof(path));
	} else {
		string_copy(path, "/bin/", sizeof(path));
		string_copy(path + 5, name, sizeof(path) - 5);
	}
	error = exec(path, command->arguments);
	exit(complain("sh", name, error) + 126);
}

/* What must happen in the shell itself. Returns false for anything else. */
static int built_in(const struct command *command)
{
	const char *name = command->arguments[0], *argument = command->arguments[1];

	if (string_equal(name, "cd")) {
		int error = chdir(argument ? argument : "/");

		status = error ? complain("cd", argument ? argument : "/", error) << 8 : 0;
	} else if (string_equal(name, "exit")) {
		exit(argument ? number_of(argument) : 0);
	} else if (string_equal(name, "wait")) {
		while (wait(NULL) > 0)
			;
	} else if (string_equal(name, "status")) {
		print("%d\n", STATUS_SIGNAL(status) ? 128 + STATUS_SIGNAL(status) : STATUS_CODE(status));
	} else {
		return 0;
	}
	return 1;
}

/* Start a command between two descriptors, which are closed here; returns its pid. Ctrl-C is for what is waited for. */
static int start(const struct command *command, int input, int output, int background)
{
	int pid = fork();

	if (pid == 0) {
		signal(SIGINT, (signal_handler *)(background ? SIGNAL_IGNORE : SIGNAL_DEFAULT));
		dup2(input, STANDARD_INPUT);
		dup2(output, STANDARD_OUTPUT);
		for (int descriptor = STANDARD_ERROR + 1; descriptor <= LAST_DESCRIPTOR; descriptor++)
			close(descriptor);
		become(command);
	}
	if (pid < 0)
		complain("sh", "fork", pid);
	if (input != STANDARD_INPUT)
		close(input);
	if (output != STANDARD_OUTPUT)
		close(output);
	return pid;
}

static void wait_for(int pid)
{
	status = 1 << 8;
	while (pid > 0 && waitpid(pid, &status, 0) == -EINTR)
		;
	if (STATUS_SIGNAL(status) && STATUS_SIGNAL(status) != SIGINT && STATUS_SIGNAL(status) != SIGPIPE)
		print_to(STANDARD_ERROR, "sh: killed by signal %d\n", STATUS_SIGNAL(status));
}

/* Parse all of a pipeline before any of it runs. Returns the number of its commands; 0: it is none. */
static int parse_pipeline(struct command **commands)
{
	int count = 0;

	do {
		commands[count] = allocate(sizeof(struct command));
		if (!parse_command(commands[count++]))
			return 0;
	} while (*at == '|' && at[1] != '|' && at++ && count < WORDS_MAX);
	return count;
}

static void run_pipeline(struct command **commands, int count, int background)
{
	int input = STANDARD_INPUT, pids[WORDS_MAX];

	if (count == 1 && !background && built_in(commands[0]))
		return;
	for (int index = 0; index < count; index++) {
		int ends[2] = { -1, STANDARD_OUTPUT };

		if (index < count - 1 && pipe(ends) < 0)
			ends[1] = STANDARD_OUTPUT;
		pids[index] = start(commands[index], input, ends[1], background);
		input = ends[0];
	}
	if (background)
		print("[%d]\n", pids[count - 1]);
	for (int index = 0; !background && index < count; index++)
		wait_for(pids[index]);
}

static void run_line(void)
{
	char *heap = sbrk(0);
	int skip = 0;

	at = line;
	next_word = words;
	for (;;) {
		struct command *commands[WORDS_MAX];
		int count, if_good, if_bad, background;

		skip_blanks();
		if (!*at || *at == '#')
			break;
		count = parse_pipeline(commands);
		if_good = accept("&&");
		if_bad = !if_good && accept("||");
		background = !if_good && !if_bad && accept("&");
		accept(";");
		if (count && !skip)
			run_pipeline(commands, count, background);
		skip = (if_good && status != 0) || (if_bad && status == 0);
	}
	sbrk((int)(heap - (char *)sbrk(0)));
}

/* Ctrl-C, which has taken back what was typed. */
static void on_interrupt(int number)
{
	(void)number;
	if (prompted)
		print(PROMPT);
}

static void prompt(void)
{
	uint32_t mask = signal_mask(1u << SIGINT);	/* who has seen the prompt may type Ctrl-C */

	print(PROMPT);
	prompted = 1;
	signal_mask(mask);
}

int main(int count, char **arguments)
{
	int script = count > 1;

	if (script) {
		int opened = open(arguments[1], O_READ);

		if (opened < 0)
			return complain("sh", arguments[1], opened);
		dup2(opened, STANDARD_INPUT);
		close(opened);
	} else {
		signal(SIGINT, on_interrupt);
	}
	for (;;) {
		while (waitpid(-1, NULL, WAIT_NO_HANG) > 0)
			;		/* what ended in the background */
		if (!script)
			prompt();
		if (read_line(STANDARD_INPUT, line, sizeof(line)) < 0)
			break;
		prompted = 0;
		run_line();
	}
	return STATUS_CODE(status);
}
