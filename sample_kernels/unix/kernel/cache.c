/* The cache of disk blocks. A block that has changed is written when its place is needed or the disk is synchronised. */
#include "inode.h"

#include "pc.h"
#include "process.h"

#define BLOCKS_CACHED 128

static struct block blocks[BLOCKS_CACHED];	/* number 0 is never asked for: free */
static uint32_t uses;
static int disk;
static const struct process *owner;		/* of the file system's lock */

void file_system_lock(void)
{
	while (owner)
		process_block(&owner);
	owner = current;
}

void file_system_unlock(void)
{
	owner = NULL;
	process_wake(&owner);
}

static void write_back(struct block *block)
{
	if (block->dirty)
		disk_write(disk, block->number, block->bytes);
	block->dirty = 0;
}

/* The block's place in the cache, which is that of the block that was not used for longest unless it has one. */
static struct block *place_of(uint32_t number, int *cached)
{
	struct block *oldest = NULL;

	for (struct block *block = blocks; block < blocks + BLOCKS_CACHED; block++) {
		*cached = block->number == number;
		if (*cached)
			return block;
		if (!block->users && (!oldest || (int32_t)(block->used - oldest->used) < 0))
			oldest = block;
	}
	if (!oldest)
		panic("all %u blocks of the cache are in use", BLOCKS_CACHED);
	write_back(oldest);
	oldest->number = number;
	return oldest;
}

static struct block *use(struct block *block)
{
	block->users++;
	block->used = ++uses;
	return block;
}

struct block *block_get(uint32_t number)
{
	int cached;
	struct block *block = place_of(number, &cached);

	if (!cached)
		disk_read(disk, number, block->bytes);
	return use(block);
}

struct block *block_get_zeroed(uint32_t number)
{
	int cached;
	struct block *block = place_of(number, &cached);

	memset(block->bytes, 0, FS_BLOCK);
	block_changed(block);
	return use(block);
}

void block_changed(struct block *block)
{
	block->dirty = 1;
}

void block_release(struct block *block)
{
	block->users--;
}

void blocks_flush(void)
{
	for (struct block *block = blocks; block < blocks + BLOCKS_CACHED; block++)
		write_back(block);
	disk_flush(disk);
}

/* The first disk that has a file system of ours on it. */
void disk_choose(void)
{
	static uint8_t bytes[FS_BLOCK];
	const struct superblock *superblock = (const struct superblock *)bytes;

	disk_init();
	for (disk = 0; disk < DISKS; disk++) {
		if (disk_blocks(disk) <= FS_SUPERBLOCK)
			continue;
		disk_read(disk, FS_SUPERBLOCK, bytes);
		if (superblock->magic == FS_MAGIC)
			return;
	}
	panic("no disk with a file system on it");
}
