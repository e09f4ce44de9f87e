/* The timer server: channel 0 of the 8254, and who sleeps until when. */
#include "port.h"
#include "program.h"

#define CHANNEL0 0x40
#define COMMAND 0x43
#define RATE_GENERATOR 0x34		/* channel 0, low then high byte, mode 2 */
#define PIT_HERTZ 1193182
#define TICK_MS 10
#define SLEEPERS 16

static uint32_t ticks;
static struct {
	unsigned task;			/* 0: nobody */
	uint32_t until;			/* ticks */
} sleepers[SLEEPERS];

static int sleep(unsigned task, uint32_t milliseconds)
{
	for (unsigned n = 0; n < SLEEPERS; n++)
		if (!sleepers[n].task) {
			sleepers[n].task = task;
			sleepers[n].until = ticks + (milliseconds + TICK_MS - 1) / TICK_MS + 1;	/* one has begun */
			return 1;
		}
	return 0;
}

static void tick(void)
{
	struct message message = { .type = TIMER_SLEEP };

	ticks++;
	for (unsigned n = 0; n < SLEEPERS; n++)
		if (sleepers[n].task && (int32_t)(ticks - sleepers[n].until) >= 0) {
			reply(sleepers[n].task, &message);
			sleepers[n].task = 0;
		}
}

void program(const char *line)
{
	unsigned divisor = PIT_HERTZ / (1000 / TICK_MS);
	struct message message;

	(void)line;
	out8(COMMAND, RATE_GENERATOR);
	out8(CHANNEL0, divisor & 0xff);
	out8(CHANNEL0, divisor >> 8 & 0xff);
	name_register("timer");
	for (;;) {
		unsigned client = (unsigned)receive(ANY, &message);

		if (client == KERNEL) {
			tick();
			continue;
		}
		if (message.type == TIMER_SLEEP && sleep(client, message.words[0]))
			continue;
		if (message.type == TIMER_NOW)
			message.words[0] = ticks * TICK_MS;
		else
			message.type = REFUSED;
		reply(client, &message);
	}
}
