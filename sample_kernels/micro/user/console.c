/* The console server: a 16550 on the first serial port, with lines that can be corrected while they are typed. */
#include "port.h"
#include "program.h"

#define COM1 0x3f8
#define INTERRUPT_ENABLE (COM1 + 1)
#define FIFO_CONTROL (COM1 + 2)
#define LINE_CONTROL (COM1 + 3)
#define MODEM_CONTROL (COM1 + 4)
#define LINE_STATUS (COM1 + 5)
#define RECEIVED 0x01
#define TRANSMIT_EMPTY 0x20

#define RING 256

static char typed[RING];		/* what nobody has read yet */
static uint8_t typed_first, typed_end;
static unsigned reader;			/* who waits for a line; 0: nobody */
static char line[TEXT_SIZE];
static unsigned length;

static void put(char character)
{
	if (character == '\n')
		put('\r');
	while (!(in8(LINE_STATUS) & TRANSMIT_EMPTY))
		;
	out8(COM1, (uint8_t)character);
}

static void device_init(void)
{
	out8(INTERRUPT_ENABLE, 0);
	out8(LINE_CONTROL, 0x80);	/* the divisor's turn: 115200 / 1 */
	out8(COM1, 1);
	out8(INTERRUPT_ENABLE, 0);
	out8(LINE_CONTROL, 0x03);	/* 8 bits, no parity */
	out8(FIFO_CONTROL, 0x07);	/* on, and both emptied */
	out8(MODEM_CONTROL, 0x0b);	/* ready, and the interrupt line connected */
	out8(INTERRUPT_ENABLE, 0x01);	/* when something was received */
}

static void device_read(void)
{
	while (in8(LINE_STATUS) & RECEIVED) {
		typed[typed_end] = (char)in8(COM1);
		if ((uint8_t)(typed_end + 1) != typed_first)
			typed_end++;
	}
}

static void edit(char character)
{
	if (character == '\b' || character == 127) {
		if (!length)
			return;
		length--;
		put('\b');
		put(' ');
		put('\b');
	} else if (character >= ' ' && length < TEXT_SIZE - 1) {
		line[length++] = character;
		put(character);
	}
}

/* Give the reader a line, if one is typed. Until somebody reads, nothing is echoed. */
static void answer(void)
{
	struct message message = { .type = CONSOLE_READ };

	while (reader && typed_first != typed_end) {
		char character = typed[typed_first++];

		if (character != '\r' && character != '\n') {
			edit(character);
			continue;
		}
		put('\n');
		line[length] = 0;
		length = 0;
		copy_text(message.text, line, TEXT_SIZE);
		reply(reader, &message);
		reader = 0;
	}
}

void program(const char *unused)
{
	struct message message;

	(void)unused;
	device_init();
	name_register("console");
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);

		if (client == KERNEL) {
			device_read();
		} else if (message.type == CONSOLE_WRITE) {
			for (unsigned at = 0; at < TEXT_SIZE && message.text[at]; at++)
				put(message.text[at]);
			reply(client, &message);
		} else if (message.type == CONSOLE_READ && !reader) {
			reader = client;
		} else {
			message.type = REFUSED;
			reply(client, &message);
		}
		answer();
	}
}
