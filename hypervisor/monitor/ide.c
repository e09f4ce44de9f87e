/* IDE channels: the task file as the guest last wrote it, and the commands that move sectors (ATA/ATAPI-6,
 * chapter 8; the protocols in 9.5 to 9.7).
 *
 * The VMM publishes what it needs (struct ide_channel). A command that it would carry out without an error
 * is done here, against the image's mapping, without an exit. Everything else is the VMM's: other commands,
 * CHS addresses, what lies beyond the disk's end, and a mapping that fails (a full file system, a file cut
 * short), where only its own read or write tells the error. The record is all the state there is, so that
 * the VMM can go on wherever this file stops. Where an image cannot be mapped, writes begin here all the
 * same, and cost the VMM one exit instead of two. */
#include "monitor.h"
#include "sys.h"

enum { CONTROL, FEATURES, COUNT, LBA_LOW, LBA_MID, LBA_HIGH, SELECT, COMMAND };
enum { LBA_MODE = 0x40, SLAVE = 0x10, SOFT_RESET = 4, HIGH_ORDER = 0x80 };

#define WINDOW_SECTORS (FIFO_SIZE / SECTOR)

/* The commands that move sectors. */
enum { READING = 1, WRITING = 2, MULTIPLE = 4, WIDE = 8, BY_MASTER = 16 };
static uint32_t kind_of(uint32_t command)
{
	switch (command) {
	case 0x20: case 0x21: return READING;
	case 0x24: return READING | WIDE;
	case 0xc4: return READING | MULTIPLE;
	case 0x29: return READING | MULTIPLE | WIDE;
	case 0xc8: case 0xc9: return READING | BY_MASTER;
	case 0x25: return READING | BY_MASTER | WIDE;
	case 0x30: case 0x31: return WRITING;
	case 0x34: return WRITING | WIDE;
	case 0xc5: return WRITING | MULTIPLE;
	case 0x39: return WRITING | MULTIPLE | WIDE;
	case 0xca: case 0xcb: return WRITING | BY_MASTER;
	case 0x35: return WRITING | BY_MASTER | WIDE;
	}
	return 0;
}

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

uint8_t *ide_sector(const struct ide_channel *channel, uint32_t drive, uint64_t sector)
{
	return (uint8_t *)DISK_BASE + channel->disk[drive & 1] % DISK_COUNT * DISK_STRIDE + sector * SECTOR;
}

static struct fifo_window *fifo_of(const struct ide_channel *channel) { return &control.fifo[channel->fifo & 7]; }

static uint8_t *window_of(const struct ide_channel *channel)
{
	return state + FIFO_OFFSET + (channel->fifo & 7) * FIFO_SIZE;
}

static uint32_t selected(const struct ide_channel *channel) { return channel->task[SELECT] & SLAVE ? 1 : 0; }

/* A block has passed through the data window `index`, and more follow. */
void ide_block_done(uint32_t index)
{
	for (uint32_t i = 0; i < 2; i++)
		if (control.ide[i].fifo == index)
			ide_interrupt(&control.ide[i]);
}

/* --- Sectors through the data window ------------------------------------------------------------------ */

/* Offer the next sectors of a read, or expect those of a write. */
static bool window_open(struct ide_channel *channel, uint32_t drive, uint32_t block)
{
	uint32_t count = channel->left < WINDOW_SECTORS ? channel->left : WINDOW_SECTORS;
	bool writing = channel->writing;

	if (!writing) {
		if (!mapped(channel, drive) ||
		    !raw_copy(window_of(channel), ide_sector(channel, drive, channel->first), count * SECTOR))
			return false;
		channel->first += count;
	}
	channel->left -= count;
	*fifo_of(channel) = (struct fifo_window){ .end = count * SECTOR, .block = block, .latch = channel->latch,
						  .done_value = writing || channel->left ? channel->busy :
								channel->idle[drive],
						  .exit_when_done = writing || channel->left, .writing = writing };
	control.latch[channel->latch] = channel->requesting;
	return true;
}

/* The data window `index` is full or empty, and what it is part of is not over. False: the VMM goes on. */
bool ide_continues(uint32_t index)
{
	struct ide_channel *channel = control.ide[0].fifo == index ? &control.ide[0] : &control.ide[1];
	struct fifo_window *fifo = fifo_of(channel);
	uint32_t drive = channel->moving - 1u, block = fifo->block, bytes = fifo->end;

	if (drive > 1 || channel->fifo != index)
		return false;
	if (channel->writing) {
		if (!mapped(channel, drive) ||
		    !raw_copy(ide_sector(channel, drive, channel->first), window_of(channel), bytes))
			return false;
		channel->first += bytes / SECTOR;
	}
	if (channel->left) {
		if (!window_open(channel, drive, block))
			return false;
	} else {
		channel->moving = 0;
		control.latch[channel->latch] = channel->idle[drive];
	}
	ide_interrupt(channel);
	return true;
}

/* --- Commands ----------------------------------------------------------------------------------------- */

static void extent(const struct ide_channel *channel, bool wide, uint64_t *first, uint32_t *count)
{
	const uint8_t *task = channel->task, *previous = channel->previous;

	*first = (uint64_t)task[LBA_HIGH] << 16 | (uint64_t)task[LBA_MID] << 8 | task[LBA_LOW];
	if (wide) {
		*first |= (uint64_t)previous[LBA_HIGH] << 40 | (uint64_t)previous[LBA_MID] << 32 |
			  (uint64_t)previous[LBA_LOW] << 24;
		*count = (uint32_t)previous[COUNT] << 8 | task[COUNT];
	} else {
		*first |= (uint64_t)(task[SELECT] & 15) << 24;
		*count = task[COUNT];
	}
	if (!*count)
		*count = wide ? 65536 : 256;
}

/* READ or WRITE of the sectors that the registers name. */
static bool command(struct ide_channel *channel, uint32_t code)
{
	uint32_t kind = kind_of(code), drive = selected(channel), count;
	uint32_t per_block = kind & MULTIPLE ? channel->multiple[drive] : 1;
	struct fifo_window *fifo = fifo_of(channel);
	bool writing = kind & WRITING;
	uint64_t first;

	extent(channel, kind & WIDE, &first, &count);
	if (!kind || !per_block || !(channel->task[SELECT] & LBA_MODE) || first + count > channel->sectors[drive] ||
	    (writing && channel->read_only[drive]) || fifo->position != fifo->end || channel->dma)
		return false;
	channel->first = first;
	channel->left = count;
	channel->writing = writing;
	if (kind & BY_MASTER) {
		if (!mapped(channel, drive))
			return false;
		channel->moving = 0;
		channel->dma = (uint8_t)(1 + drive);
		channel->served |= (uint8_t)(1 << drive);
		control.latch[channel->latch] = channel->requesting;
		if (!master_may_run(channel) || master_runs(channel))
			return true;
		channel->dma = 0;
		return false;
	}
	if (!window_open(channel, drive, per_block * SECTOR))
		return false;
	channel->moving = (uint8_t)(1 + drive);
	channel->served |= (uint8_t)(1 << drive);
	if (!writing)
		ide_interrupt(channel);
	return true;
}

/* Take the write of `value`; false: it is the VMM's. `index` is that of the port's class (PORT_TASK_FILE). */
bool ide_takes(uint32_t index, uint32_t value)
{
	struct ide_channel *channel = &control.ide[index >> 3 & 1];
	struct fifo_window *fifo = fifo_of(channel);
	uint32_t reg = index & 7;

	if (reg == CONTROL) {
		if ((value | channel->task[CONTROL]) & SOFT_RESET)
			return false;
	} else if (reg != SELECT) {
		channel->task[CONTROL] &= (uint8_t)~HIGH_ORDER;
	}
	if (reg == COMMAND) {
		ide_interrupt_back(channel);
		return command(channel, value);
	}
	channel->previous[reg] = channel->task[reg];
	channel->task[reg] = (uint8_t)value;
	if (reg == SELECT && fifo->position == fifo->end && !channel->dma)
		control.latch[channel->latch] = channel->idle[selected(channel)];
	return true;
}
