/* Measures the engine from inside: what each kind of request costs a guest, in TSC cycles.
 *
 * Prints "NAME OPERATIONS CYCLES" lines; bench/run.py turns them into nanoseconds. Built with ring3's
 * wrapper only: it makes one hypercall by name. */
#include "../compute.h"
#include "pc.h"
#include "x86.h"

#define PAGE 4096
#define ROUNDS 3
#define USER_CALLS 200000 /* as in entry.S */
#define USER_WRITES 2000
#define PRESENT 1
#define WRITABLE 2
#define USER 4
#define LARGE 0x80
#define USER_BASE 0x40000000u
#define HIGH 0xc0000000u
#define PHYSICAL(p) ((uint32_t)(p) - HIGH)
#define GATE(dpl) (0x8e00u | (dpl) << 13)

extern char bare_call[], full_call[], leave_user[], write_call[], user_program[];
extern void run_user(uint32_t eip, uint32_t esp);
extern uint32_t full_cycles, bare_cycles, write_cycles;
uint32_t kernel_getpid(void);
void kernel_write(const char *text, uint32_t length);
void kernel_main(void);

static uint32_t directories[2][1024] __attribute__((aligned(PAGE)));
static uint32_t user_tables[2][1024] __attribute__((aligned(PAGE)));
static uint8_t user_stack[PAGE] __attribute__((aligned(PAGE)));
static uint8_t kernel_stack[PAGE] __attribute__((aligned(16)));
static uint32_t tss[26];
static uint64_t gdt[6], idt[256];

uint32_t kernel_getpid(void)
{
	return 42;
}

void kernel_write(const char *text, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		serial_put(text[i]);
}

static void report(const char *name, uint32_t operations, uint64_t cycles)
{
	print("%s %u %u\n", name, operations, (uint32_t)cycles);
}

#define MEASURE(name, operations, statement)                              \
	do {                                                              \
		for (uint32_t i = 0; i < (operations) / 10; i++)          \
			statement;                                        \
		uint64_t start = read_tsc();                              \
		for (uint32_t i = 0; i < (operations); i++)               \
			statement;                                        \
		report(name, operations, read_tsc() - start);             \
	} while (0)

static void write_cr3(uint32_t value)
{
	__asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}

static uint64_t gate(const void *entry, uint32_t dpl)
{
	uint32_t address = (uint32_t)entry;

	return (address & 0xffff) | KERNEL_CODE << 16 | (uint64_t)((address & 0xffff0000u) | GATE(dpl)) << 32;
}

static void tables_init(void)
{
	uint64_t base = (uint32_t)tss;
	struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) gdtr = { sizeof(gdt) - 1, gdt }, idtr = { sizeof(idt) - 1, idt };

	gdt[1] = 0x00cf9b000000ffffull;
	gdt[2] = 0x00cf93000000ffffull;
	gdt[3] = 0x00cffb000000ffffull;
	gdt[4] = 0x00cff3000000ffffull;
	gdt[5] = 0x0000890000000067ull | (base & 0xffffff) << 16 | (base >> 24) << 56;
	tss[1] = (uint32_t)kernel_stack + sizeof(kernel_stack);
	tss[2] = KERNEL_DATA;
	tss[25] = 0x680000;
	idt[0x80] = gate(bare_call, 3);
	idt[0x81] = gate(full_call, 3);
	idt[0x82] = gate(leave_user, 3);
	idt[0x83] = gate(write_call, 3);
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(gdtr), "m"(idtr), "r"(5 * 8));
}

/* The kernel at HIGH, one user page and its stack at USER_BASE, in two address spaces. */
static void spaces_init(void)
{
	for (uint32_t space = 0; space < 2; space++) {
		directories[space][HIGH >> 22] = PRESENT | WRITABLE | LARGE;
		directories[space][USER_BASE >> 22] = PHYSICAL(user_tables[space]) | PRESENT | WRITABLE | USER;
		user_tables[space][0] = PHYSICAL(user_program) | PRESENT | USER;
		user_tables[space][1] = PHYSICAL(user_stack) | PRESENT | WRITABLE | USER;
	}
	write_cr3(PHYSICAL(directories[0]));
}

void kernel_main(void)
{
	tables_init();
	MEASURE("null", 200000, __asm__ volatile("r3_null" : : : "memory"));
	MEASURE("empty", 10000000, __asm__ volatile("" : : : "memory"));
	MEASURE("cli_sti", 10000000, ({ cli(); sti(); }));
	cli();
	MEASURE("exit", 5000, inb(0x1f));
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = read_tsc();

		compute(COMPUTE_STEPS);
		report("compute", COMPUTE_STEPS, read_tsc() - start);
	}
	spaces_init();
	run_user(USER_BASE, USER_BASE + 2 * PAGE);
	report("bare_call", USER_CALLS, bare_cycles);
	report("full_call", USER_CALLS, full_cycles);
	report("write", USER_WRITES, write_cycles);
	MEASURE("cr3", 5000, write_cr3(PHYSICAL(directories[i & 1])));
	power_off();
}
