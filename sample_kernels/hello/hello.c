/* The smallest kernel that does what every kernel does: it sets up the processor and the interrupt
 * controller, takes exceptions and timer interrupts, talks to a device, and turns the machine off.
 * It is written for a bare PC and knows nothing of ring3. Two comments say why it could not run, as it is, in a
 * process: privilege_level() and idt_vectors() read state that no trap protects. */
#include "pc.h"
#include "x86.h"

#define MULTIBOOT_LOADER 0x2badb002	/* what a multiboot loader leaves in EAX */
#define HERTZ 100
#define SECOND_TENTHS 5

static volatile unsigned ticks;
static volatile unsigned breakpoints;

static void on_timer(struct interrupt_frame *frame)
{
	(void)frame;
	ticks++;
}

static void on_breakpoint(struct interrupt_frame *frame)
{
	(void)frame;
	breakpoints++;
}

/* The two low bits of CS are the privilege level of the code that runs. In ring 3 they are 3, and no trap
 * tells the hypervisor that somebody looked: reading CS is *sensitive* but not *privileged*. Ported, the
 * kernel sees its own selector. */
static unsigned privilege_level(void)
{
	uint16_t cs;

	__asm__("movw %%cs, %0" : "=rm"(cs));
	return cs & 3;
}

/* `sidt` does not trap either; on a processor with UMIP the host's kernel answers it with a dummy. */
static unsigned idt_vectors(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer;

	__asm__("sidt %0" : "=m"(pointer));
	return (pointer.limit + 1u) / 8;
}

/* Sleep until `count` more ticks have come. Interrupts are off while we look at the clock and are let in only
 * by `sti; hlt`, which is one operation, or the last tick could come between the look and the sleep. */
static void wait_ticks(unsigned count)
{
	unsigned end = ticks + count;

	cli();
	while ((int)(end - ticks) > 0) {
		sti_hlt();
		cli();
	}
	sti();
}

void kernel_main(uint32_t magic, void *information);

void kernel_main(uint32_t magic, void *information)
{
	(void)information;
	if (magic != MULTIBOOT_LOADER)
		panic("not started by a multiboot loader: EAX is %x", magic);
	print("hello: started by a multiboot loader\n");
	print("hello: running at privilege level %u\n", privilege_level());
	print("hello: %u interrupt vectors\n", idt_vectors());

	exception_handle(EXCEPTION_BREAKPOINT, on_breakpoint);
	__asm__ volatile("int3");
	print("hello: %u breakpoint taken\n", breakpoints);

	timer_init(HERTZ, on_timer);
	sti();
	for (unsigned tenth = 1; tenth <= SECOND_TENTHS; tenth++) {
		wait_ticks(HERTZ / 10);
		print("hello: %u ticks\n", tenth * HERTZ / 10);
	}
	print("hello: goodbye\n");
	power_off();
}
