/* A kernel that keeps accounts: it does each privileged operation a known number of times, from a function of its own,
 * counts as it goes, and prints the accounts in the end. Whoever else counts, from outside, must come to the same.
 *
 * A line of them is "count: FUNCTION INSTRUCTION TIMES", or "inline: ..." where a ported kernel does the instruction by
 * itself, so that no hypercall tells of it. Only what the functions below do is in them; print() and the
 * handlers' common entry are not, but for the last lines, which tell how often interrupts and exceptions came. */
#include "pc.h"
#include "x86.h"

#define HERTZ 100
#define TICKS 7
#define SOFTWARE_VECTOR 20	/* an exception that this processor does not have */
#define EXCEPTION_UNDEFINED 6
#define EXCEPTION_PROTECTION 13
#define IA32_APIC_BASE 0x1b
#define NMI_STATUS 0x61		/* system control port B: reading it changes nothing */
#define POST_CODE 0x80
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
#define NO_SEGMENT 0xfff8	/* a selector beyond the descriptor table */

struct account {
	const char *function, *instruction;
	volatile unsigned times;
};

#define ACCOUNT(function, instruction) static struct account function##_##instruction = { #function, #instruction, 0 }

ACCOUNT(ports, inb); ACCOUNT(ports, outb); ACCOUNT(wide_ports, inl); ACCOUNT(wide_ports, outl);
ACCOUNT(control, write_cr0); ACCOUNT(control, write_cr2); ACCOUNT(control, write_cr3); ACCOUNT(control, write_cr4);
ACCOUNT(control, clts); ACCOUNT(tables, sgdt); ACCOUNT(tables, sidt); ACCOUNT(tables, lgdt); ACCOUNT(tables, lidt);
ACCOUNT(tables, str); ACCOUNT(tables, lldt); ACCOUNT(identity, cpuid); ACCOUNT(identity, rdmsr);
ACCOUNT(translation, invlpg); ACCOUNT(debugging, write_dr0); ACCOUNT(debugging, read_dr0);
ACCOUNT(software, int); ACCOUNT(breakpoints, int3); ACCOUNT(sleep, sti_hlt);

ACCOUNT(flags, cli); ACCOUNT(flags, sti); ACCOUNT(flags, pushf); ACCOUNT(flags, popf);
ACCOUNT(reads, read_cr0); ACCOUNT(reads, read_cr2); ACCOUNT(reads, read_cr3); ACCOUNT(reads, read_cr4);
ACCOUNT(segments, store_ds); ACCOUNT(segments, load_es); ACCOUNT(segments, store_cs);

static struct account *const accounts[] = {
	&ports_inb, &ports_outb, &wide_ports_inl, &wide_ports_outl, &control_write_cr0, &control_write_cr2,
	&control_write_cr3, &control_write_cr4, &control_clts, &tables_sgdt, &tables_sidt, &tables_lgdt, &tables_lidt,
	&tables_str, &tables_lldt, &identity_cpuid, &identity_rdmsr, &translation_invlpg, &debugging_write_dr0,
	&debugging_read_dr0, &software_int, &breakpoints_int3, &sleep_sti_hlt,
};

static struct account *const inline_accounts[] = {
	&flags_cli, &flags_sti, &flags_pushf, &flags_popf, &reads_read_cr0, &reads_read_cr2, &reads_read_cr3,
	&reads_read_cr4, &segments_store_ds, &segments_load_es, &segments_store_cs,
};

static volatile unsigned ticks, softwares, breaks, undefined, protections;
static volatile uint32_t resume;		/* where on_protection() goes on */

#define FUNCTION __attribute__((noinline)) static void
#define COUNTED(account, ...) do { __VA_ARGS__; (account).times++; } while (0)

FUNCTION ports(unsigned times)
{
	for (unsigned at = 0; at < times; at++) {
		uint8_t value;

		COUNTED(ports_inb, __asm__ volatile("inb %1, %0" : "=a"(value) : "d"((uint16_t)NMI_STATUS)));
		if (at % 3 == 0)
			COUNTED(ports_outb, __asm__ volatile("outb %0, %1" : : "a"((uint8_t)at), "d"((uint16_t)POST_CODE)));
	}
}

FUNCTION wide_ports(unsigned times)
{
	uint32_t value;

	for (unsigned at = 0; at < times; at++) {
		COUNTED(wide_ports_outl, __asm__ volatile("outl %0, %1" : : "a"(0x80000000u | at << 11), "d"((uint16_t)PCI_ADDRESS)));
		COUNTED(wide_ports_inl, __asm__ volatile("inl %1, %0" : "=a"(value) : "d"((uint16_t)PCI_DATA)));
	}
}

FUNCTION control(unsigned times)
{
	uint32_t cr0, cr4;

	__asm__ volatile("movl %%cr0, %0; movl %%cr4, %1" : "=r"(cr0), "=r"(cr4));
	for (unsigned at = 0; at < times; at++) {
		COUNTED(control_write_cr0, __asm__ volatile("movl %0, %%cr0" : : "r"(cr0)));
		COUNTED(control_write_cr2, __asm__ volatile("movl %0, %%cr2" : : "r"(at)));
		COUNTED(control_write_cr3, __asm__ volatile("movl %0, %%cr3" : : "r"(0)));
		COUNTED(control_write_cr4, __asm__ volatile("movl %0, %%cr4" : : "r"(cr4)));
		if (at & 1)
			COUNTED(control_clts, __asm__ volatile("clts"));
	}
}

FUNCTION tables(unsigned times)
{
	struct { uint16_t limit; uint32_t base; } __attribute__((packed)) gdt, idt;
	uint32_t task;

	for (unsigned at = 0; at < times; at++) {
		COUNTED(tables_sgdt, __asm__ volatile("sgdt %0" : "=m"(gdt)));
		COUNTED(tables_sidt, __asm__ volatile("sidt %0" : "=m"(idt)));
		COUNTED(tables_str, __asm__ volatile("str %0" : "=r"(task)));
		if (at % 4)
			continue;
		COUNTED(tables_lgdt, __asm__ volatile("lgdt %0" : : "m"(gdt)));
		COUNTED(tables_lidt, __asm__ volatile("lidt %0" : : "m"(idt)));
		COUNTED(tables_lldt, __asm__ volatile("lldt %w0" : : "r"(0)));
	}
}

FUNCTION identity(unsigned times)
{
	for (unsigned at = 0; at < times; at++) {
		uint32_t eax = at & 1, ebx, ecx = 0, edx;

		COUNTED(identity_cpuid, __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx)));
		COUNTED(identity_rdmsr, __asm__ volatile("rdmsr" : "=a"(eax), "=d"(edx) : "c"(IA32_APIC_BASE)));
	}
}

FUNCTION translation(unsigned times)
{
	for (unsigned at = 0; at < times; at++)
		COUNTED(translation_invlpg, __asm__ volatile("invlpg %0" : : "m"(*(char *)(at << 12))));
}

FUNCTION debugging(unsigned times)
{
	uint32_t value;

	for (unsigned at = 0; at < times; at++) {
		COUNTED(debugging_write_dr0, __asm__ volatile("movl %0, %%dr0" : : "r"(at)));
		COUNTED(debugging_read_dr0, __asm__ volatile("movl %%dr0, %0" : "=r"(value)));
		if (value != at)
			panic("DR0 is %x, not %x", value, at);
	}
}

FUNCTION software(unsigned times)
{
	for (unsigned at = 0; at < times; at++)
		COUNTED(software_int, __asm__ volatile("int $20"));
}

FUNCTION breakpoints(unsigned times)
{
	for (unsigned at = 0; at < times; at++)
		COUNTED(breakpoints_int3, __asm__ volatile("int3"));
}

/* Faults, whose handlers go on behind the instruction. Of ud2 the length is known; of the other instruction it may
 * not be what it was when this was written. */
FUNCTION faults(unsigned times)
{
	for (unsigned at = 0; at < times; at++) {
		__asm__ volatile("ud2");
		if (at & 1)
			__asm__ volatile("movl $1f, %0; movw %w1, %%fs; 1:" : "=m"(resume) : "a"(NO_SEGMENT));
	}
}

/* They are made so that the inline forms of all registers and some that lie one behind the other occur. */
FUNCTION flags(unsigned times)
{
	uint32_t value;

	for (unsigned at = 0; at < times; at++) {
		COUNTED(flags_pushf, __asm__ volatile("pushfl; popl %0" : "=r"(value)));
		COUNTED(flags_cli, __asm__ volatile("cli"));
		if (at % 3 == 0)
			COUNTED(flags_sti, __asm__ volatile("sti"));
		COUNTED(flags_popf, __asm__ volatile("pushl %0; popfl" : : "r"(value) : "cc"));
		__asm__ volatile("pushfl; cli; popfl" : : : "cc");
		flags_pushf.times++;
		flags_cli.times++;
		flags_popf.times++;
	}
}

FUNCTION reads(unsigned times)
{
	uint32_t value;

	for (unsigned at = 0; at < times; at++) {
		COUNTED(reads_read_cr0, __asm__ volatile("movl %%cr0, %0" : "=a"(value)));
		COUNTED(reads_read_cr0, __asm__ volatile("movl %%cr0, %0" : "=S"(value)));
		COUNTED(reads_read_cr2, __asm__ volatile("movl %%cr2, %0" : "=d"(value)));
		COUNTED(reads_read_cr3, __asm__ volatile("movl %%cr3, %0" : "=a"(value)));
		if (at & 1)
			COUNTED(reads_read_cr4, __asm__ volatile("movl %%cr4, %0" : "=b"(value)));
	}
}

FUNCTION segments(unsigned times)
{
	uint32_t data, code;

	for (unsigned at = 0; at < times; at++) {
		COUNTED(segments_store_ds, __asm__ volatile("movl %%ds, %0" : "=r"(data)));
		COUNTED(segments_load_es, __asm__ volatile("movl %0, %%es" : : "r"(data)));
		COUNTED(segments_store_cs, __asm__ volatile("movl %%cs, %0" : "=a"(code)));
		if (data == code)
			panic("DS and CS are both %x", data, code);
	}
}

FUNCTION sleep(unsigned until)
{
	cli();
	while (ticks < until) {
		COUNTED(sleep_sti_hlt, __asm__ volatile("sti; hlt"));
		cli();
	}
}

static void on_tick(struct interrupt_frame *frame)
{
	(void)frame;
	ticks++;
}

static void on_software(struct interrupt_frame *frame)
{
	(void)frame;
	softwares++;
}

static void on_breakpoint(struct interrupt_frame *frame)
{
	(void)frame;
	breaks++;
}

static void on_undefined(struct interrupt_frame *frame)
{
	undefined++;
	frame->eip += 2;
}

static void on_protection(struct interrupt_frame *frame)
{
	protections++;
	frame->eip = resume;
}

void kernel_main(uint32_t magic, void *information);

void kernel_main(uint32_t magic, void *information)
{
	(void)magic, (void)information;
	print("count: begin\n");
	exception_handle(EXCEPTION_BREAKPOINT, on_breakpoint);
	exception_handle(EXCEPTION_UNDEFINED, on_undefined);
	exception_handle(EXCEPTION_PROTECTION, on_protection);
	exception_handle(SOFTWARE_VECTOR, on_software);
	ports(300);
	wide_ports(40);
	control(25);
	tables(16);
	identity(12);
	translation(33);
	debugging(9);
	software(21);
	breakpoints(11);
	faults(14);
	flags(70);
	reads(20);
	segments(15);
	timer_init(HERTZ, on_tick);
	sleep(TICKS);
	for (unsigned at = 0; at < sizeof(accounts) / sizeof(*accounts); at++)
		print("count: %s %s %u\n", accounts[at]->function, accounts[at]->instruction, accounts[at]->times);
	for (unsigned at = 0; at < sizeof(inline_accounts) / sizeof(*inline_accounts); at++)
		print("inline: %s %s %u\n", inline_accounts[at]->function, inline_accounts[at]->instruction,
		      inline_accounts[at]->times);
	print("count: vector %u %u\n", SOFTWARE_VECTOR, softwares);
	print("count: vector %u %u\n", EXCEPTION_BREAKPOINT, breaks);
	print("count: vector %u %u\n", EXCEPTION_UNDEFINED, undefined);
	print("count: vector %u %u\n", EXCEPTION_PROTECTION, protections);
	print("count: vector %u %u\n", IRQ_BASE + IRQ_TIMER, ticks);
	power_off();
}
