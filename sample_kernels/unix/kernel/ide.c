/* Disks: the two of the first IDE channel, by programmed I/O with interrupts (ATA/ATAPI-6, 9.5 and 9.6: the disk
 * interrupts when it has a sector to be read, and when it has taken one that was written). */
#include "inode.h"

#include "pc.h"
#include "process.h"
#include "x86.h"

#define IRQ_DISK 14

#define BASE 0x1f0
#define DATA (BASE + 0)
#define COUNT (BASE + 2)
#define LBA_LOW (BASE + 3)
#define LBA_MIDDLE (BASE + 4)
#define LBA_HIGH (BASE + 5)
#define DEVICE (BASE + 6)
#define STATUS (BASE + 7)		/* read */
#define COMMAND (BASE + 7)		/* written */
#define CONTROL 0x3f6
#define ALTERNATE_STATUS 0x3f6		/* STATUS without taking the interrupt back */

#define STATUS_BUSY 0x80
#define STATUS_READY 0x40
#define STATUS_FAULT 0x20
#define STATUS_REQUEST 0x08		/* wants data, or has some */
#define STATUS_ERROR 0x01
#define DEVICE_LBA 0xe0
#define DEVICE_SECOND 0x10

#define READ_SECTORS 0x20
#define WRITE_SECTORS 0x30
#define FLUSH_CACHE 0xe7
#define IDENTIFY 0xec
#define IDENTIFY_SECTORS 30		/* which double word of IDENTIFY's data has the number of sectors */

#define SECTOR_BYTES 512
#define SECTORS_PER_BLOCK (FS_BLOCK / SECTOR_BYTES)

static volatile int interrupted;

static void on_interrupt(struct interrupt_frame *frame)
{
	(void)frame;
	inb(STATUS);			/* takes the interrupt back */
	interrupted = 1;
	process_wake((const void *)&interrupted);
}

static void wait_interrupt(void)
{
	while (!interrupted)
		process_block((const void *)&interrupted);
	interrupted = 0;
}

/* How the command goes on; a disk is only briefly busy without an interrupt to come. */
static uint8_t wait_status(void)
{
	uint8_t status;

	while ((status = inb(ALTERNATE_STATUS)) & STATUS_BUSY)
		;
	return status;
}

static void select_sector(int disk, uint32_t sector)
{
	outb(DEVICE, (uint8_t)(DEVICE_LBA | (disk ? DEVICE_SECOND : 0) | (sector >> 24 & 0xf)));
	for (int wait = 0; wait < 4; wait++)
		inb(ALTERNATE_STATUS);	/* the 400 ns that a disk may take to know that it is meant */
	wait_status();
	outb(COUNT, SECTORS_PER_BLOCK);
	outb(LBA_LOW, sector & 0xff);
	outb(LBA_MIDDLE, sector >> 8 & 0xff);
	outb(LBA_HIGH, sector >> 16 & 0xff);
}

static void command(uint8_t code)
{
	interrupted = 0;
	outb(COMMAND, code);
}

static void check(uint8_t status, uint8_t wanted, const char *what, uint32_t block)
{
	if (status & (STATUS_ERROR | STATUS_FAULT) || (status & wanted) != wanted)
		panic("disk: cannot %s block %u, status %x", what, block, status);
}

static void read_sector(void *to)
{
	uint32_t words = SECTOR_BYTES / 2;

	__asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(DATA) : "memory");
}

static void write_sector(const void *from)
{
	uint32_t words = SECTOR_BYTES / 2;

	__asm__ volatile("rep outsw" : "+S"(from), "+c"(words) : "d"(DATA) : "memory");
}

void disk_read(int disk, uint32_t block, void *to)
{
	select_sector(disk, block * SECTORS_PER_BLOCK);
	command(READ_SECTORS);
	for (uint32_t sector = 0; sector < SECTORS_PER_BLOCK; sector++) {
		wait_interrupt();
		check(wait_status(), STATUS_REQUEST, "read", block);
		read_sector((char *)to + sector * SECTOR_BYTES);
	}
}

void disk_write(int disk, uint32_t block, const void *from)
{
	select_sector(disk, block * SECTORS_PER_BLOCK);
	command(WRITE_SECTORS);
	for (uint32_t sector = 0; sector < SECTORS_PER_BLOCK; sector++) {
		check(wait_status(), STATUS_REQUEST, "write", block);
		write_sector((const char *)from + sector * SECTOR_BYTES);
		wait_interrupt();
	}
	check(wait_status(), STATUS_READY, "write", block);
}

void disk_flush(int disk)
{
	select_sector(disk, 0);
	command(FLUSH_CACHE);
	wait_interrupt();
	check(wait_status(), STATUS_READY, "flush", 0);
}

/* No disk: no status, or an error. A disk that is there answers IDENTIFY with an interrupt. */
int disk_blocks(int disk)
{
	uint32_t identity[SECTOR_BYTES / 4];
	uint8_t status = inb(ALTERNATE_STATUS);

	if (status == 0xff)		/* no channel */
		return 0;
	select_sector(disk, 0);
	command(IDENTIFY);
	status = inb(ALTERNATE_STATUS);
	if (!status || !(wait_status() & STATUS_REQUEST))
		return 0;
	wait_interrupt();
	read_sector(identity);
	return (int)(identity[IDENTIFY_SECTORS] / SECTORS_PER_BLOCK);
}

void disk_init(void)
{
	outb(CONTROL, 0);		/* let it interrupt */
	irq_handle(IRQ_DISK, on_interrupt);
}
