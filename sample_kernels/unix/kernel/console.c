/* The line discipline: what is typed is echoed, may be corrected, and is read by the line.
 *
 *   Backspace   takes a character back         Ctrl-C   SIGINT for all processes but the first
 *   Ctrl-U      takes the line back            Ctrl-D   ends the line without a new line; alone: the end of the file
 *
 * There are no process groups: a shell that wants to go on after Ctrl-C ignores SIGINT, and so do the programs that it
 * starts in the background, as in the seventh edition of Unix. */
#include "console.h"

#include "errors.h"
#include "pc.h"
#include "process.h"
#include "screen.h"
#include "x86.h"

#define IRQ_SERIAL 4
#define COM1 0x3f8
#define DATA (COM1 + 0)
#define INTERRUPT_ENABLE (COM1 + 1)
#define MODEM_CONTROL (COM1 + 4)
#define LINE_STATUS (COM1 + 5)
#define LSR_DATA 0x01

#define CONTROL(letter) ((letter) & 0x1f)
#define DELETE 0x7f
#define END_OF_FILE CONTROL('D')

#define TYPED_MAX 512

/* Counts of characters since the beginning: read <= complete <= end. What lies behind `complete` may be corrected. */
static char typed[TYPED_MAX];
static uint32_t read, complete, end;

void console_put(char character)
{
	serial_put(character);
	screen_put(character);
}

static void put_line(const char *from, uint32_t length)
{
	for (uint32_t at = 0; at < length; at++) {
		if (from[at] == '\n')
			console_put('\r');
		console_put(from[at]);
	}
	screen_show_cursor();
}

static void erase(void)
{
	end--;
	put_line("\b \b", 3);
}

static void accept(char character)
{
	int ends_line = character == '\n' || character == END_OF_FILE;

	if (end - read >= TYPED_MAX - !ends_line)	/* the last place is for the end of the line */
		return;
	typed[end++ % TYPED_MAX] = character;
	if (character != END_OF_FILE)
		put_line(&character, 1);
	if (ends_line) {
		complete = end;
		process_wake(&complete);
	}
}

static void interrupt(void)
{
	end = complete;
	put_line("^C\n", 3);
	signal_send_all(SIGINT);
	if (current->pid > FIRST_PID)
		signal_send(current, SIGINT);
}

void console_typed(char character)
{
	switch (character) {
	case CONTROL('C'):
		interrupt();
		break;
	case CONTROL('U'):
		while (end != complete)
			erase();
		break;
	case '\b':
	case DELETE:
		if (end != complete)
			erase();
		break;
	case '\r':
		accept('\n');
		break;
	default:
		if (character >= ' ' || character == '\n' || character == '\t' || character == END_OF_FILE)
			accept(character);
	}
}

int console_read(char *to, uint32_t length)
{
	uint32_t done = 0;

	while (read == complete) {
		if (signal_pending())
			return -EINTR;
		process_block(&complete);
	}
	while (done < length && read != complete) {
		char character = typed[read % TYPED_MAX];

		if (character == END_OF_FILE) {
			if (!done)	/* else the next read finds the end */
				read++;
			break;
		}
		read++;
		to[done++] = character;
		if (character == '\n')
			break;
	}
	return (int)done;
}

int console_write(const char *from, uint32_t length)
{
	put_line(from, length);
	return (int)length;
}

static void on_serial(struct interrupt_frame *frame)
{
	(void)frame;
	while (inb(LINE_STATUS) & LSR_DATA)
		console_typed((char)inb(DATA));
}

void console_init(void)
{
	screen_init();
	irq_handle(IRQ_SERIAL, on_serial);
	outb(MODEM_CONTROL, 0x0b);	/* terminal ready, ready to send, interrupts go to the controller */
	outb(INTERRUPT_ENABLE, 0x01);	/* when something has come */
}
