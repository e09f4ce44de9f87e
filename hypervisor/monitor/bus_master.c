/* The bus masters of the two IDE channels (Intel 82371SB data sheet, 2.3 and 3.7: "Bus Master IDE"): registers, and
 * sectors that move between a mapped disk image and guest RAM by a table of descriptors. What is not plain RAM,
 * and every error, is the VMM's. */
#include "monitor.h"

enum { COMMAND = 0, STATUS = 2, TABLE = 4 };
enum { START = 1, TO_MEMORY = 8 };
enum { ACTIVE = 1, ERROR = 2, CAPABLE = 0x60 };

#define LAST 0x80000000u
/* A table does not leave its 64 KiB. */
#define DESCRIPTORS 8192u

struct descriptor {
	uint32_t address, count;
};

static uint32_t bytes_of(const struct descriptor *entry)
{
	uint32_t bytes = entry->count & 0xfffe;

	return bytes ? bytes : 0x10000;
}

static bool plain_ram(uint64_t address, uint32_t bytes)
{
	return address + bytes <= control.ram_size &&
	       (address >= (uint64_t)control.rom_base + control.rom_size || address + bytes <= control.rom_base);
}

bool master_may_run(const struct ide_channel *channel)
{
	return channel->master_enabled && channel->master_status & ACTIVE;
}

/* The descriptor of that number. False where the table, or the memory that it tells of, is not plain RAM. */
static bool descriptor_at(const struct ide_channel *channel, uint32_t number, struct descriptor *entry)
{
	uint64_t at = channel->table + (uint64_t)number * sizeof(*entry);

	if (number >= DESCRIPTORS || !plain_ram(at, sizeof(*entry)))
		return false;
	memcpy(entry, ram + at, sizeof(*entry));
	return plain_ram(entry->address, bytes_of(entry));
}

/* Carry out the transfer that waits. False, with nothing changed but memory: the VMM does it. */
bool master_runs(struct ide_channel *channel)
{
	uint32_t drive = channel->dma - 1u, entries = 0, last = 0;
	uint64_t wanted = (uint64_t)channel->left * SECTOR, described = 0;
	struct descriptor entry;

	if (drive > 1) /* its data are the VMM's */
		return false;
	while (described < wanted && !last && entries < DESCRIPTORS) {
		if (!descriptor_at(channel, entries++, &entry))
			return false;
		described += bytes_of(&entry);
		last = entry.count & LAST;
	}
	if (described >= wanted) {
		uint8_t *sectors = ide_sector(channel, drive, channel->first);
		uint64_t done = 0;

		for (uint32_t number = 0; done < wanted; number++) {
			/* Once more in full: the table may lie where the sectors go to. */
			if (!descriptor_at(channel, number, &entry))
				return false;
			uint64_t bytes = bytes_of(&entry) < wanted - done ? bytes_of(&entry) : wanted - done;
			uint8_t *memory = ram + entry.address;

			if (!(channel->writing ? raw_copy(sectors + done, memory, bytes) :
						 raw_copy(memory, sectors + done, bytes)))
				return false;
			done += bytes;
		}
	}
	channel->dma = 0;
	control.latch[channel->latch] = channel->idle[drive];
	/* Too long a table leaves the master active, too short a one stops it without an interrupt. */
	if (described < wanted || (described == wanted && last))
		channel->master_status &= (uint8_t)~ACTIVE;
	if (described >= wanted)
		ide_interrupt(channel);
	return true;
}

uint32_t master_in(uint32_t index)
{
	struct ide_channel *channel = &control.ide[index >> 3 & 1];
	uint32_t reg = index & 7;

	if (reg >= TABLE)
		return channel->table >> (reg - TABLE) * 8 & 0xff;
	return reg == COMMAND ? channel->master_command : reg == STATUS ? ide_master_status(channel) : 0xff;
}

/* Take the write of a byte; false: the VMM is to carry out the transfer that it starts. */
bool master_takes(uint32_t index, uint32_t value)
{
	struct ide_channel *channel = &control.ide[index >> 3 & 1];
	uint32_t reg = index & 7, shift = (reg & 3) * 8, started = value & ~channel->master_command & START;

	if (reg >= TABLE) {
		channel->table = (channel->table & ~(0xffu << shift)) | (value & (reg == TABLE ? 0xfc : 0xff)) << shift;
	} else if (reg == COMMAND) {
		channel->master_command = value & (START | TO_MEMORY);
		if (started)
			channel->master_status |= ACTIVE;
		else if (!(value & START))
			channel->master_status &= (uint8_t)~ACTIVE;
		if (started && channel->dma && channel->master_enabled)
			return master_runs(channel);
	} else if (reg == STATUS) {
		channel->master_status = (uint8_t)((value & CAPABLE) | (channel->master_status & ACTIVE) |
						   (channel->master_status & ~value & (ERROR | MASTER_INTERRUPT)));
	}
	return true;
}
