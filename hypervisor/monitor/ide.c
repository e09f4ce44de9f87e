/* IDE channels: the task file as the guest last wrote it, and the commands that move sectors (ATA/ATAPI-6,
 * 8.30, 8.31, 8.34, 8.62, 8.65).
 *
 * The VMM publishes what it needs (struct ide_channel). A command that it would carry out without an error
 * is done here, against the image's mapping, without an exit. Everything else is the VMM's: other commands,
 * CHS addresses, what lies beyond the disk's end, and a mapping that fails (a full file system, a file cut
 * short), where only its own read or write tells the error. Where an image cannot be mapped, writes begin
 * here all the same, and cost the VMM one exit instead of two. */
#include "monitor.h"
#include "sys.h"

enum { CONTROL, COUNT = 2, LBA_LOW, LBA_MID, LBA_HIGH, SELECT, COMMAND };
enum { READ_SECTORS = 0x20, WRITE_SECTORS = 0x30, READ_MULTIPLE = 0xc4, WRITE_MULTIPLE = 0xc5, NO_RETRY = 1 };
enum { LBA_MODE = 0x40, SLAVE = 0x10, NO_INTERRUPT = 2, SOFT_RESET = 4 };

#define SECTOR 512u
#define NO_IRQ 255u

/* Called before the sandbox closes. An image that cannot be mapped is left to the VMM. */
void ide_map_disks(void)
{
	for (uint32_t i = 0; i < DISK_COUNT; i++) {
		struct disk_window *disk = &control.disks[i];
		uint64_t at = DISK_BASE + i * DISK_STRIDE;
		int protection = PROT_READ | (disk->writable ? PROT_WRITE : 0);

		if (!disk->bytes)
			continue;
		if (disk->bytes > DISK_STRIDE ||
		    sys_mmap(at, disk->bytes, protection, MAP_SHARED | MAP_FIXED, DISK_FD + (int)i, 0) != (int64_t)at)
			disk->bytes = 0;
		syscall3(SYS_close, DISK_FD + i, 0, 0);
	}
}

static bool mapped(const struct ide_channel *channel, uint32_t drive)
{
	return control.disks[channel->disk[drive & 1] % DISK_COUNT].bytes != 0;
}

static uint8_t *sector_at(const struct ide_channel *channel, uint32_t drive, uint32_t sector)
{
	return (uint8_t *)DISK_BASE + channel->disk[drive] % DISK_COUNT * DISK_STRIDE + (uint64_t)sector * SECTOR;
}

static uint8_t *window_of(const struct ide_channel *channel)
{
	return state + FIFO_OFFSET + (channel->fifo & 7) * FIFO_SIZE;
}

static uint32_t selected(const struct ide_channel *channel) { return channel->task[SELECT] & SLAVE ? 1 : 0; }

static uint32_t line(const struct ide_channel *channel)
{
	return channel->task[CONTROL] & NO_INTERRUPT ? NO_IRQ : channel->irq;
}

static void interrupt(const struct ide_channel *channel)
{
	if (line(channel) < 16)
		irq_pulse(line(channel));
}

/* READ or WRITE of the sectors that the registers name, in blocks of `per_block` sectors. */
static bool transfer(struct ide_channel *channel, bool writing, uint32_t per_block)
{
	const uint8_t *task = channel->task;
	uint32_t count = task[COUNT] ? task[COUNT] : 256, select = task[SELECT], drive = selected(channel);
	uint32_t first = (select & 15u) << 24 | (uint32_t)task[LBA_HIGH] << 16 | task[LBA_MID] << 8 | task[LBA_LOW];
	struct fifo_window *fifo = &control.fifo[channel->fifo & 7];

	if (!per_block || !(select & LBA_MODE) || first + count > channel->sectors[drive] ||
	    fifo->position != fifo->end)
		return false;
	if (writing ? channel->read_only[drive] :
	    !mapped(channel, drive) ||
	    !raw_copy(window_of(channel), sector_at(channel, drive, first), count * SECTOR))
		return false;
	*fifo = (struct fifo_window){ .end = count * SECTOR, .block = per_block * SECTOR, .irq = line(channel),
				      .latch = channel->latch,
				      .done_value = writing ? channel->busy : channel->idle[drive],
				      .exit_when_done = writing, .writing = writing };
	control.latch[channel->latch] = channel->requesting;
	if (writing) {
		channel->first = first;
		channel->begun = (uint8_t)(1 + drive);
	} else {
		channel->served |= (uint8_t)(1 << drive);
		interrupt(channel);
	}
	return true;
}

static bool command(struct ide_channel *channel, uint32_t code)
{
	switch (code) {
	case READ_SECTORS: case READ_SECTORS + NO_RETRY: return transfer(channel, false, 1);
	case WRITE_SECTORS: case WRITE_SECTORS + NO_RETRY: return transfer(channel, true, 1);
	case READ_MULTIPLE: return transfer(channel, false, channel->multiple[selected(channel)]);
	case WRITE_MULTIPLE: return transfer(channel, true, channel->multiple[selected(channel)]);
	}
	return false;
}

/* The data window `index` is full: write the sectors. False: the VMM does. */
bool ide_writes(uint32_t index)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct ide_channel *channel = &control.ide[i];
		uint32_t drive = channel->begun - 1u, bytes = control.fifo[index & 7].end;

		if (!channel->begun || channel->fifo != index)
			continue;
		if (!mapped(channel, drive) ||
		    !raw_copy(sector_at(channel, drive & 1, channel->first), window_of(channel), bytes))
			return false;
		channel->begun = 0;
		channel->served |= (uint8_t)(1 << (drive & 1));
		control.latch[channel->latch] = channel->idle[drive & 1];
		interrupt(channel);
		return true;
	}
	return false;
}

/* Take the write of `value`; false: it is the VMM's. `index` is that of the port's class (PORT_TASK_FILE). */
bool ide_takes(uint32_t index, uint32_t value)
{
	struct ide_channel *channel = &control.ide[index >> 3 & 1];
	struct fifo_window *fifo = &control.fifo[channel->fifo & 7];
	uint32_t reg = index & 7;

	if (reg == COMMAND)
		return command(channel, value);
	if (reg == CONTROL && (value | channel->task[CONTROL]) & SOFT_RESET)
		return false;
	channel->task[reg] = (uint8_t)value;
	if (reg == SELECT && fifo->position == fifo->end)
		control.latch[channel->latch] = channel->idle[selected(channel)];
	return true;
}
