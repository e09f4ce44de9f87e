/* IDE channels: the task file as the guest last wrote it, and write commands that begin without an exit.
 *
 * The VMM looks at the registers when a command comes. A write command would need two exits: one to begin
 * it, one with the data. The first decides nothing where the command is valid, and whether it is can be
 * seen here. The VMM learns of the command with the data. */
#include "monitor.h"

enum { CONTROL, COUNT = 2, LBA_LOW, LBA_MID, LBA_HIGH, SELECT, COMMAND };
enum { WRITE_SECTORS = 0x30, LBA_MODE = 0x40, SLAVE = 0x10, NO_INTERRUPT = 2, SOFT_RESET = 4 };

#define SECTOR 512u
#define NO_IRQ 255u

static bool begin_write(struct ide_channel *channel)
{
	const uint8_t *task = channel->task;
	uint32_t count = task[COUNT] ? task[COUNT] : 256, select = task[SELECT];
	uint32_t first = (select & 15u) << 24 | (uint32_t)task[LBA_HIGH] << 16 | task[LBA_MID] << 8 | task[LBA_LOW];
	struct fifo_window *fifo = &control.fifo[channel->fifo & 7];

	if (!(select & LBA_MODE) || first + count > channel->sectors[select & SLAVE ? 1 : 0] ||
	    fifo->position != fifo->end)
		return false;
	*fifo = (struct fifo_window){ .end = count * SECTOR, .block = SECTOR, .latch = channel->latch,
				      .irq = task[CONTROL] & NO_INTERRUPT ? NO_IRQ : channel->irq,
				      .done_value = channel->busy, .exit_when_done = 1, .writing = 1 };
	control.latch[channel->latch] = channel->requesting;
	channel->begun = 1;
	return true;
}

/* Take the write of `value`; false: it is the VMM's. `index` is that of the port's class (PORT_TASK_FILE). */
bool ide_takes(uint32_t index, uint32_t value)
{
	struct ide_channel *channel = &control.ide[index >> 3 & 1];
	uint32_t reg = index & 7;

	if (reg == COMMAND)
		return value == WRITE_SECTORS && begin_write(channel);
	if (reg == CONTROL && (value | channel->task[CONTROL]) & SOFT_RESET)
		return false;
	channel->task[reg] = (uint8_t)value;
	return true;
}
