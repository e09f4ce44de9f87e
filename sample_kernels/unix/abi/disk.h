/* The file system as it is on the disk: blocks of FS_BLOCK bytes, in this order:
 *
 *   0  nothing (room for a boot sector)
 *   1  superblock
 *   .  bitmap of inodes, bitmap of blocks: bit n is set where n is in use
 *   .  inodes, INODES_PER_BLOCK in each block; inode 0 is never used, 1 is the root directory
 *   .  data
 *
 * fs.py reads the numbers below from this file: each is a plain #define. */
#ifndef DISK_H
#define DISK_H

#include <stdint.h>

#define FS_MAGIC 0x58494e55	/* UNIX */
#define FS_BLOCK 1024
#define FS_SUPERBLOCK 1		/* its block */
#define ROOT_INODE 1

struct superblock {
	uint32_t magic;
	uint32_t blocks;	/* in all */
	uint32_t inodes;	/* in all */
	uint32_t inode_bitmap, block_bitmap, inode_table, data;	/* where each begins, in blocks */
};

#define TYPE_FREE 0
#define TYPE_FILE 1
#define TYPE_DIRECTORY 2
#define TYPE_DEVICE 3		/* `size` says which */

#define DEVICE_CONSOLE 1
#define DEVICE_NULL 2

#define DIRECT_BLOCKS 12
#define INODE_BLOCKS 14		/* DIRECT_BLOCKS, one block of block numbers, one of blocks of block numbers */
#define INODE_BYTES 64
#define INODES_PER_BLOCK (FS_BLOCK / INODE_BYTES)
#define NUMBERS_PER_BLOCK (FS_BLOCK / 4)

struct disk_inode {
	uint16_t type;
	uint16_t links;		/* directory entries that name it */
	uint32_t size;		/* bytes */
	uint32_t blocks[INODE_BLOCKS];	/* 0: a hole, which reads as zeroes */
};

/* A directory is a file of these. The first two are "." and "..". */
#define NAME_BYTES 28		/* the end of the string included */

struct directory_entry {
	uint32_t inode;		/* 0: free */
	char name[NAME_BYTES];
};

#endif
