/* What the sample kernels share: the parts of a PC that every small kernel must set up. */
#ifndef PC_H
#define PC_H

#include <stddef.h>
#include <stdint.h>

/* segments.c: the global descriptor table. */
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
void segments_init(void);

/* interrupts.c: the interrupt descriptor table and the two 8259 interrupt controllers. */
#define EXCEPTION_BREAKPOINT 3
#define IRQ_BASE 32		/* vector of IRQ 0; 0-31 are the processor's exceptions */
#define IRQ_TIMER 0

/* The stack as vectors.S leaves it for a handler, lowest address first. */
struct interrupt_frame {
	uint32_t edi, esi, ebp, esp_at_pusha, ebx, edx, ecx, eax;
	uint32_t vector;
	uint32_t error_code;	/* 0 where the exception has none */
	uint32_t eip, cs, eflags;
	uint32_t user_esp, user_ss;	/* there only where code of ring 3 was interrupted */
};

typedef void interrupt_handler(struct interrupt_frame *frame);

/* Called by vectors.S: acknowledge the IRQ, if it is one, and call the handler. */
void interrupt_dispatch(struct interrupt_frame *frame);

void interrupts_init(void);
/* Call `handler`, interrupts off, whenever exception `vector` is raised. */
void exception_handle(unsigned vector, interrupt_handler *handler);
/* Call `handler`, interrupts off and the controller already acknowledged, for each IRQ; unmasks the line. */
void irq_handle(unsigned irq, interrupt_handler *handler);
/* For a kernel that enters by a gate of its own: where `vector` leads, and the end of the IRQ in service. */
#define GATE_INTERRUPT 0x8e00		/* present, ring 0, 32-bit interrupt gate: IF is cleared on entry */
#define GATE_TASK 0x8500		/* present, ring 0, task gate: `offset` is not used */
void gate_set(unsigned vector, uint16_t selector, uint32_t offset, uint16_t attributes);
void irq_acknowledge(unsigned irq);

/* timer.c: channel 0 of the 8254 timer. */
void timer_init(unsigned hertz, interrupt_handler *handler);

/* serial.c: the console, COM1 at 115200 bits a second. */
void serial_init(void);
void serial_put(char character);
/* Where print() and panic() write: serial_put(), unless a kernel has a console_put() of its own. */
void console_put(char character);
/* The printf of small kernels: %s, %c, %d, %u, %x and %%. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* power.c */
_Noreturn void power_off(void);
/* Say what is wrong and stop for good. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
