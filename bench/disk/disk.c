/* Measures sequential reads of the primary slave: by the bus master and by string input, as an interrupt-driven
 * driver does them, with paging on.
 *
 * Prints "NAME BYTES CYCLES" lines, both in units of 1024; bench/disk.py turns them into MB/s. */
#include "../compute.h"
#include "pc.h"
#include "x86.h"

#define PAGE 4096u
#define SECTOR 512u
#define TOTAL (256u << 20)
#define BUFFER ((uint8_t *)(64u << 20)) /* 16 MiB that are read into, over and over: more than caches hold */
#define BUFFER_SIZE (16u << 20)
#define ROUNDS 3

#define IRQ_IDE 14
#define IRQ_PIC_CASCADE 2
enum { DATA = 0x1f0, COUNT = 0x1f2, LBA_LOW, LBA_MID, LBA_HIGH, DEVICE, COMMAND, STATUS = COMMAND };
enum { SLAVE_LBA = 0xf0, REQUEST = 8, FAILED = 1 };
enum { READ_SECTORS = 0x20, READ_MULTIPLE = 0xc4, SET_MULTIPLE = 0xc6, READ_DMA = 0xc8, READ_DMA_EXT = 0x25 };
#define SECTORS_PER_BLOCK 16u
#define PCI_IDE 0x80000900u

void kernel_main(void);

static uint32_t directory[1024] __attribute__((aligned(PAGE)));
static uint32_t tables[64][1024] __attribute__((aligned(PAGE)));
static struct {
	uint32_t address, count;
} descriptors[1024] __attribute__((aligned(PAGE)));
static uint16_t master;
static volatile int interrupted, status;

static void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void insl(uint16_t port, void *to, uint32_t count)
{
	__asm__ volatile("cld; rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void ide_interrupt(struct interrupt_frame *frame)
{
	(void)frame;
	status = inb(STATUS);
	interrupted = 1;
}

static void wait_interrupt(void)
{
	cli();
	while (!interrupted) {
		__asm__ volatile("sti; hlt" : : : "memory");
		cli();
	}
	interrupted = 0;
	sti();
	if (status & FAILED)
		panic("the disk says %x\n", (uint32_t)status);
}

static void command(uint32_t sector, uint32_t count, uint8_t code)
{
	outb(DEVICE, (uint8_t)(SLAVE_LBA | (code == READ_DMA_EXT ? 0 : sector >> 24)));
	if (code == READ_DMA_EXT) {
		outb(COUNT, (uint8_t)(count >> 8));
		outb(LBA_LOW, (uint8_t)(sector >> 24));
		outb(LBA_MID, 0);
		outb(LBA_HIGH, 0);
	}
	outb(COUNT, (uint8_t)count);
	outb(LBA_LOW, (uint8_t)sector);
	outb(LBA_MID, (uint8_t)(sector >> 8));
	outb(LBA_HIGH, (uint8_t)(sector >> 16));
	outb(COMMAND, code);
}

/* Identity-mapped, by small pages as most kernels map what they allocate. */
static void paging_init(void)
{
	for (uint32_t i = 0; i < 64 * 1024; i++)
		tables[i / 1024][i % 1024] = i * PAGE | 3;
	for (uint32_t i = 0; i < 64; i++)
		directory[i] = (uint32_t)tables[i] | 3;
	__asm__ volatile("movl %0, %%cr3; movl %%cr0, %%eax; orl $0x80000000, %%eax; movl %%eax, %%cr0"
			 : : "r"(directory) : "eax", "memory");
}

static void master_init(void)
{
	outl(0xcf8, PCI_IDE | 0x20);
	master = inl(0xcfc) & 0xfff0;
	outl(0xcf8, PCI_IDE | 4);
	outl(0xcfc, (inl(0xcfc) & 0xffff) | 5);
}

static void read_dma(uint32_t sector, uint8_t *to, uint32_t bytes, uint8_t code)
{
	uint32_t entries = 0;

	for (uint32_t done = 0; done < bytes; entries++) {
		uint32_t part = bytes - done < 0x10000 ? bytes - done : 0x10000;

		descriptors[entries].address = (uint32_t)to + done;
		descriptors[entries].count = part & 0xffff;
		done += part;
	}
	descriptors[entries - 1].count |= 0x80000000u;
	outl(master + 4, (uint32_t)descriptors);
	outb(master, 8);
	outb(master + 2, inb(master + 2) | 6);
	command(sector, bytes / SECTOR, code);
	outb(master, 9);
	wait_interrupt();
	outb(master, 8);
}

static void read_pio(uint32_t sector, uint8_t *to, uint32_t bytes, uint8_t code)
{
	uint32_t block = code == READ_MULTIPLE ? SECTORS_PER_BLOCK * SECTOR : SECTOR;

	command(sector, bytes / SECTOR, code);
	for (uint32_t done = 0; done < bytes; done += block) {
		wait_interrupt();
		insl(DATA, to + done, block / 4);
	}
}

static void measure(const char *name, uint8_t code, uint32_t chunk)
{
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = read_tsc();

		for (uint32_t done = 0; done < TOTAL; done += chunk) {
			uint8_t *to = BUFFER + done % BUFFER_SIZE;

			if (code == READ_DMA || code == READ_DMA_EXT)
				read_dma(done / SECTOR, to, chunk, code);
			else
				read_pio(done / SECTOR, to, chunk, code);
		}
		/* In thousands, as 32 bits do not hold the cycles of some seconds. */
		print("%s %u %u\n", name, TOTAL / 1024, (uint32_t)((read_tsc() - start) >> 10));
	}
}

void kernel_main(void)
{
	paging_init();
	master_init();
	irq_handle(IRQ_IDE, ide_interrupt);
	sti();
	command(0, SECTORS_PER_BLOCK, SET_MULTIPLE);
	wait_interrupt();
	measure("dma_1m", READ_DMA_EXT, 1u << 20);
	measure("dma_128k", READ_DMA, 128u << 10);
	measure("dma_4k", READ_DMA, 4u << 10);
	measure("pio_multiple", READ_MULTIPLE, 128u << 10);
	measure("pio_sectors", READ_SECTORS, 128u << 10);
	power_off();
}
