/* From interrupt lines to handlers: 8259 controllers, descriptor table, dispatch. */
#include "pc.h"
#include "x86.h"

#define VECTORS 48			/* 32 exceptions and 16 lines */
#ifndef IDT_GATES
#define IDT_GATES VECTORS		/* a kernel with vectors of its own needs more */
#endif

/* The 8259 pair: the secondary hangs on line 2 of the primary. */
#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define PIC_CASCADE 2
#define ICW1_INIT 0x11			/* cascaded, edge triggered, ICW4 follows */
#define ICW4_8086 0x01
#define OCW2_EOI 0x20			/* end of the interrupt in service with the highest priority */
#define OCW3_READ_ISR 0x0b		/* the next read of the command port gives the in-service register */

extern void *const vector_entries[VECTORS];

static struct gate {
	uint16_t offset_low, selector, attributes, offset_high;
} idt[IDT_GATES];

static interrupt_handler *handlers[VECTORS];

/* Both controllers start at vector 8 after the BIOS, on top of the exceptions: move them to IRQ_BASE, all
 * lines masked until someone asks for them. */
static void pic_init(void)
{
	outb(PIC1_COMMAND, ICW1_INIT);
	outb(PIC2_COMMAND, ICW1_INIT);
	outb(PIC1_DATA, IRQ_BASE);
	outb(PIC2_DATA, IRQ_BASE + 8);
	outb(PIC1_DATA, 1 << PIC_CASCADE);
	outb(PIC2_DATA, PIC_CASCADE);
	outb(PIC1_DATA, ICW4_8086);
	outb(PIC2_DATA, ICW4_8086);
	outb(PIC1_DATA, 0xff & ~(1 << PIC_CASCADE));
	outb(PIC2_DATA, 0xff);
}

/* A line that drops before it is acknowledged is reported as line 7 of its controller, not in service:
 * such a spurious interrupt must not be acknowledged. */
static int pic_spurious(unsigned irq)
{
	uint16_t command = irq < 8 ? PIC1_COMMAND : PIC2_COMMAND;

	if (irq % 8 != 7)
		return 0;
	outb(command, OCW3_READ_ISR);
	return (inb(command) & 0x80) == 0;
}

void irq_acknowledge(unsigned irq)
{
	if (irq >= 8)
		outb(PIC2_COMMAND, OCW2_EOI);
	outb(PIC1_COMMAND, OCW2_EOI);
}

void interrupt_dispatch(struct interrupt_frame *frame)
{
	interrupt_handler *handler = handlers[frame->vector];

	if (frame->vector >= IRQ_BASE) {
		unsigned irq = frame->vector - IRQ_BASE;

		if (pic_spurious(irq)) {
			if (irq >= 8)		/* the primary did see its cascade line */
				outb(PIC1_COMMAND, OCW2_EOI);
			return;
		}
		irq_acknowledge(irq);
	}
	if (!handler)
		panic("unexpected interrupt %u, error code %x, at %x", frame->vector, frame->error_code,
		      frame->eip);
	handler(frame);
}

void exception_handle(unsigned vector, interrupt_handler *handler)
{
	handlers[vector] = handler;
}

void irq_handle(unsigned irq, interrupt_handler *handler)
{
	uint16_t mask_port = irq < 8 ? PIC1_DATA : PIC2_DATA;

	handlers[IRQ_BASE + irq] = handler;
	outb(mask_port, inb(mask_port) & ~(1 << irq % 8));
}

void gate_set(unsigned vector, uint16_t selector, uint32_t offset, uint16_t attributes)
{
	idt[vector] = (struct gate){ offset & 0xffff, selector, attributes, offset >> 16 };
}

void interrupts_init(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++)
		gate_set(vector, KERNEL_CODE, (uint32_t)vector_entries[vector], GATE_INTERRUPT);
	struct {
		uint16_t limit;
		void *base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, idt };

	__asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
	pic_init();
}
