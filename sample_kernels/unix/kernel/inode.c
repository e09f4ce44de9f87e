/* Files by number: which blocks they have, reading and writing them. */
#include "inode.h"

#include "errors.h"
#include "file.h"
#include "pc.h"
#include "process.h"

/* Enough for all that can refer to one: open files, current directories, and the operation under way. */
#define INODES_IN_MEMORY (FILES_OPEN_MAX + PROCESSES_MAX + 8)
#define BITS_PER_BLOCK (FS_BLOCK * 8u)

static struct superblock superblock;
static struct inode inodes[INODES_IN_MEMORY];

void file_system_mount(void)
{
	struct block *block;

	file_system_lock();
	disk_choose();
	block = block_get(FS_SUPERBLOCK);
	memcpy(&superblock, block->bytes, sizeof(superblock));
	block_release(block);
	file_system_unlock();
	print("unix: file system of %u blocks, %u inodes\n", superblock.blocks, superblock.inodes);
}

void file_system_sync(void)
{
	file_system_lock();
	blocks_flush();
	file_system_unlock();
}

/* Find a clear bit in the bitmap that begins in block `bitmap`, set it and return its number; 0: all `count` are set. */
static uint32_t bit_allocate(uint32_t bitmap, uint32_t count)
{
	for (uint32_t base = 0; base < count; base += BITS_PER_BLOCK) {
		struct block *block = block_get(bitmap + base / BITS_PER_BLOCK);

		for (uint32_t bit = 0; bit < BITS_PER_BLOCK && base + bit < count; bit++)
			if (!(block->words[bit / 32] & 1u << bit % 32)) {
				block->words[bit / 32] |= 1u << bit % 32;
				block_changed(block);
				block_release(block);
				return base + bit;
			}
		block_release(block);
	}
	return 0;
}

static void bit_free(uint32_t bitmap, uint32_t bit)
{
	struct block *block = block_get(bitmap + bit / BITS_PER_BLOCK);

	block->words[bit % BITS_PER_BLOCK / 32] &= ~(1u << bit % 32);
	block_changed(block);
	block_release(block);
}

/* A block of zeroes; 0: no space left. */
static uint32_t block_allocate(void)
{
	uint32_t number = bit_allocate(superblock.block_bitmap, superblock.blocks);

	if (number)
		block_release(block_get_zeroed(number));
	return number;
}

static struct block *block_of_inode(uint32_t number, struct disk_inode **disk)
{
	struct block *block = block_get(superblock.inode_table + number / INODES_PER_BLOCK);

	*disk = (struct disk_inode *)block->bytes + number % INODES_PER_BLOCK;
	return block;
}

struct inode *inode_share(struct inode *inode)
{
	inode->references++;
	return inode;
}

struct inode *inode_get(uint32_t number)
{
	struct inode *unused = NULL;
	struct disk_inode *disk;
	struct block *block;

	for (struct inode *inode = inodes; inode < inodes + INODES_IN_MEMORY; inode++) {
		if (inode->references && inode->number == number)
			return inode_share(inode);
		if (!inode->references)
			unused = inode;
	}
	if (!unused)
		panic("more than %u files in use", INODES_IN_MEMORY);
	block = block_of_inode(number, &disk);
	*unused = (struct inode){ .number = number, .references = 1, .disk = *disk };
	block_release(block);
	return unused;
}

void inode_update(struct inode *inode)
{
	struct disk_inode *disk;
	struct block *block = block_of_inode(inode->number, &disk);

	*disk = inode->disk;
	block_changed(block);
	block_release(block);
}

struct inode *inode_create(uint16_t type)
{
	uint32_t number = bit_allocate(superblock.inode_bitmap, superblock.inodes);
	struct inode *inode;

	if (!number)
		return NULL;
	inode = inode_get(number);
	inode->disk = (struct disk_inode){ .type = type };
	inode_update(inode);
	return inode;
}

void inode_put(struct inode *inode)
{
	if (--inode->references || inode->disk.links)
		return;
	inode->references = 1;		/* still ours while the disk is busy */
	if (inode->disk.type != TYPE_DEVICE)
		inode_truncate(inode);
	inode->disk.type = TYPE_FREE;
	inode_update(inode);
	bit_free(superblock.inode_bitmap, inode->number);
	inode->references = 0;
}

/* The block with this index in the file: 0 where there is none, and none was wanted or there is no space. Indirect blocks,
 * of which there are as many on the way as `level` says, hold the numbers of others. */
static uint32_t block_in_file(struct inode *inode, uint32_t index, int create)
{
	uint32_t *slot = &inode->disk.blocks[index];
	unsigned level = 0;
	struct block *holder = NULL;

	if (index >= DIRECT_BLOCKS) {
		index -= DIRECT_BLOCKS;
		level = index < NUMBERS_PER_BLOCK ? 1 : 2;
		slot = &inode->disk.blocks[DIRECT_BLOCKS + level - 1];
		if (level == 2)
			index -= NUMBERS_PER_BLOCK;
		if (index >= NUMBERS_PER_BLOCK * NUMBERS_PER_BLOCK)
			return 0;
	}
	for (;;) {
		uint32_t number = *slot;

		if (!number && create && (number = *slot = block_allocate())) {
			if (holder)
				block_changed(holder);
			else
				inode_update(inode);
		}
		if (holder)
			block_release(holder);
		if (!number || !level)
			return number;
		holder = block_get(number);
		slot = &holder->words[--level ? index / NUMBERS_PER_BLOCK : index % NUMBERS_PER_BLOCK];
	}
}

static void free_blocks(uint32_t number, unsigned level)
{
	if (!number)
		return;
	if (level) {
		struct block *block = block_get(number);

		for (unsigned index = 0; index < NUMBERS_PER_BLOCK; index++)
			free_blocks(block->words[index], level - 1);
		block_release(block);
	}
	bit_free(superblock.block_bitmap, number);
}

void inode_truncate(struct inode *inode)
{
	for (unsigned slot = 0; slot < INODE_BLOCKS; slot++) {
		free_blocks(inode->disk.blocks[slot], slot < DIRECT_BLOCKS ? 0 : slot - DIRECT_BLOCKS + 1);
		inode->disk.blocks[slot] = 0;
	}
	inode->disk.size = 0;
	inode_update(inode);
}

static uint32_t least(uint32_t one, uint32_t other)
{
	return one < other ? one : other;
}

int inode_read(struct inode *inode, void *to, uint32_t offset, uint32_t length)
{
	uint32_t done = 0, end = inode->disk.size;

	while (done < length && offset + done < end) {
		uint32_t at = offset + done, number = block_in_file(inode, at / FS_BLOCK, 0);
		uint32_t part = least(least(FS_BLOCK - at % FS_BLOCK, length - done), end - at);

		if (number) {
			struct block *block = block_get(number);

			memcpy((char *)to + done, block->bytes + at % FS_BLOCK, part);
			block_release(block);
		} else {
			memset((char *)to + done, 0, part);
		}
		done += part;
	}
	return (int)done;
}

int inode_write(struct inode *inode, const void *from, uint32_t offset, uint32_t length)
{
	const uint32_t most = (DIRECT_BLOCKS + NUMBERS_PER_BLOCK + NUMBERS_PER_BLOCK * NUMBERS_PER_BLOCK) * FS_BLOCK;
	uint32_t done = 0;

	if (offset > most || length > most - offset)
		return -EFBIG;
	while (done < length) {
		uint32_t at = offset + done, number = block_in_file(inode, at / FS_BLOCK, 1);
		uint32_t part = least(FS_BLOCK - at % FS_BLOCK, length - done);
		struct block *block;

		if (!number)
			break;
		block = block_get(number);
		memcpy(block->bytes + at % FS_BLOCK, (const char *)from + done, part);
		block_changed(block);
		block_release(block);
		done += part;
	}
	if (offset + done > inode->disk.size && done) {
		inode->disk.size = offset + done;
		inode_update(inode);
	}
	return done || !length ? (int)done : -ENOSPC;
}
