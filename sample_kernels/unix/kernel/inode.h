/* The file system: files by number (inode.c) and by name (directory.c), on a cache of blocks (cache.c) of the disk
 * (ide.c). One lock is for all of it: there is one disk, which does one thing at a time. Whoever calls a function named
 * inode_ or path_ holds the lock. */
#ifndef INODE_H
#define INODE_H

#include "disk.h"

#include <stdint.h>

struct inode {
	uint32_t number;
	unsigned references;		/* by open files, current directories, and whoever uses it now; 0: free */
	struct disk_inode disk;		/* always as in the cache */
};

void file_system_lock(void);
void file_system_unlock(void);
void file_system_mount(void);		/* the only functions that lock it themselves */
void file_system_sync(void);

/* inode.c. A file that nobody names and nobody uses any more is gone. */
struct inode *inode_get(uint32_t number);
struct inode *inode_share(struct inode *inode);		/* needs no lock */
void inode_put(struct inode *inode);
struct inode *inode_create(uint16_t type);		/* NULL: no space left; no links yet */
void inode_update(struct inode *inode);			/* its `disk` has changed */
int inode_read(struct inode *inode, void *to, uint32_t offset, uint32_t length);
int inode_write(struct inode *inode, const void *from, uint32_t offset, uint32_t length);	/* or an error */
void inode_truncate(struct inode *inode);		/* to nothing */

/* directory.c: all give 0 or an error. An inode found is the caller's to put. */
int path_find(const char *path, struct inode **found);
int path_create(const char *path, uint16_t type, int exclusive, struct inode **found);
int path_link(const char *path, const char *new);
int path_unlink(const char *path);

/* cache.c: a block stays where it is until it is released. */
struct block {
	uint32_t number;
	unsigned users;
	uint32_t used;			/* when, for choosing which one to give up */
	int dirty;			/* differs from the disk */
	union {
		uint8_t bytes[FS_BLOCK];
		uint32_t words[FS_BLOCK / 4];
	};
};

struct block *block_get(uint32_t number);
struct block *block_get_zeroed(uint32_t number);	/* for a new block */
void block_changed(struct block *block);
void block_release(struct block *block);
void blocks_flush(void);
void disk_choose(void);					/* whose blocks these are; panics where there is none */

/* ide.c: only processes may call these, one at a time. */
#define DISKS 2
void disk_init(void);
int disk_blocks(int disk);				/* its size; 0: no such disk */
void disk_read(int disk, uint32_t block, void *to);	/* panics where a disk fails */
void disk_write(int disk, uint32_t block, const void *from);
void disk_flush(int disk);

#endif
