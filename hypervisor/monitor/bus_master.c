/* The bus masters of the two IDE channels (Intel 82371SB data sheet, 2.3 and 3.7: "Bus Master IDE"): registers, and
 * sectors that move between a mapped disk image and guest RAM by a table of descriptors. What is not plain RAM,
 * and every error, is the VMM's. */
#include "monitor.h"

enum { COMMAND = 0, STATUS = 2, TABLE = 4 };
enum { START = 1, TO_MEMORY = 8 };
enum { ACTIVE = 1, ERROR = 2, CAPABLE = 0x60 };

#define SECTOR 512u
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

/* Carry out the transfer that waits. False, with nothing changed but memory: the VMM does it. */
bool master_runs(struct ide_channel *channel)
{
	const struct descriptor *table = (const struct descriptor *)(ram + channel->table);
	uint32_t drive = channel->dma - 1u, entries = 0, last = 0;
	uint64_t wanted = (uint64_t)channel->left * SECTOR, described = 0;
	uint8_t *sectors = ide_sector(channel, drive, channel->first);

	if (drive > 1)
		return false;
	while (described < wanted && !last && entries < DESCRIPTORS) {
		struct descriptor entry;

		if (!plain_ram(channel->table + 8ull * entries, 8))
			return false;
		entry = table[entries++];
		if (!plain_ram(entry.address, bytes_of(&entry)))
			return false;
		described += bytes_of(&entry);
		last = entry.count & LAST;
	}
	if (described >= wanted) {
		for (uint64_t done = 0; done < wanted; table++) {
			struct descriptor entry = *table;
			uint64_t bytes = bytes_of(&entry), rest = wanted - done;
			uint8_t *memory = ram + entry.address;

			if (bytes > rest)
				bytes = rest;
			/* The table may lie where the sectors go to. */
			if (!plain_ram(entry.address, (uint32_t)bytes) ||
			    !(channel->writing ? raw_copy(sectors + done, memory, bytes) :
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
	const struct ide_channel *channel = &control.ide[index >> 3 & 1];
	uint32_t reg = index & 7;

	if (reg >= TABLE)
		return channel->table >> (reg - TABLE) * 8 & 0xff;
	return reg == COMMAND ? channel->master_command : reg == STATUS ? channel->master_status : 0xff;
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
			return channel->dma <= 2 && master_runs(channel);
	} else if (reg == STATUS) {
		channel->master_status = (uint8_t)((value & CAPABLE) | (channel->master_status & ACTIVE) |
						   (channel->master_status & ~value & (ERROR | MASTER_INTERRUPT)));
	}
	return true;
}
